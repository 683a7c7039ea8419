"""What people read on a terminal: lines and tables by rich, which takes a while to load."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from metaser.cli.view.console import GAP, plain


class PlainConsole(Console):
    """A console that colours only what it is told to and leaves a closed pipe to `main`."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Pass the closed pipe on."""
        raise BrokenPipeError

    def print_line(self, line: str = "", style: str | None = None) -> None:
        """Print one line; it is not cut where the terminal ends, so that paths can be copied."""
        self.print(plain(line), style=style, soft_wrap=True)


def console_for(as_json: bool) -> PlainConsole:
    """Where people read: standard output, or standard error where JSON goes to standard output."""
    return PlainConsole(stderr=as_json)


def new_table(*columns: str, title: str | None = None) -> Table:
    """An empty table in the one look that all commands share; `columns` are headed so."""
    return Table(
        *columns, box=SIMPLE, title=title, title_justify="left", title_style="bold", padding=(0, GAP - 1, 0, 0),
        pad_edge=False, show_edge=False,
    )  # fmt: skip
