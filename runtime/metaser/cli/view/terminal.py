"""Lines and tables for terminals, printed with rich, which is slow to load."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from metaser.cli.view.console import GAP


class PlainConsole(Console):
    """A console without automatic colours; it leaves the handling of a closed pipe to `main`."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, which `main` handles."""
        raise BrokenPipeError

    def print_line(self, line: str = "", style: str | None = None) -> None:
        """Print one line without wrapping it to the terminal, so that paths can be copied."""
        from metaser.runtime.words import plain

        self.print(plain(line), style=style, soft_wrap=True)


def console_for(as_json: bool) -> PlainConsole:
    """The console for text: standard output, or standard error if JSON goes to standard output."""
    return PlainConsole(stderr=as_json)


def new_table(*columns: str, title: str | None = None) -> Table:
    """An empty table with these column headings, in the style of all commands."""
    return Table(
        *columns, box=SIMPLE, title=title, title_justify="left", title_style="bold", padding=(0, GAP - 1, 0, 0),
        pad_edge=False, show_edge=False,
    )  # fmt: skip
