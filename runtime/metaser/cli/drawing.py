"""Labels in time, drawn as letters on coloured blocks, so that they read without colour too."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.progress_bar import ProgressBar
from rich.text import Text

from metaser.cli.console import plain
from metaser.cli.spans import Span, span_at

COLOURS = ("red", "yellow", "green", "blue", "magenta", "cyan")
UNKNOWN = "unknown"
UNKNOWN_KEY = "?"
SILENCE_KEY = "."
CELL_CHOICES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
TICK_CELLS = 10


class Palette:
    """A letter and a colour for each label."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._keys: dict[str, str] = {}
        for label in labels:
            candidates = label.upper() + string.ascii_uppercase + string.digits
            free = (letter for letter in candidates if letter not in self._keys.values() and _fits(letter))
            self._keys[label] = next(free, "*")
        self._colours = {label: COLOURS[index % len(COLOURS)] for index, label in enumerate(labels)}

    def colour(self, label: str | None) -> str:
        """The name of the label's colour."""
        return self._colours.get(label or "", "white")

    def block(self, label: str | None) -> Text:
        """The letter of a label on its colour."""
        return Text(self._keys.get(label or "", UNKNOWN_KEY), f"{self.colour(label)} reverse")

    def name(self, label: str | None) -> Text:
        """The label, or "unknown", in its colour."""
        return Text(plain(label) if label is not None else UNKNOWN, f"bold {self.colour(label)}")

    def bar(self, label: str, share: float, width: int) -> ProgressBar:
        """A bar in the label's colour, filled by a share of 1."""
        colour = self.colour(label)
        return ProgressBar(total=1, completed=share, width=width, complete_style=colour, finished_style=colour)

    def legend(self) -> Text:
        """Every letter with its label."""
        entries = (Text.assemble(self.block(label), " ", plain(label)) for label in self.labels)
        return Text("   ").join([*entries, Text(f"{UNKNOWN_KEY} {UNKNOWN}"), Text(f"{SILENCE_KEY} silence")])


def _fits(letter: str) -> bool:
    return letter.isalnum() and cell_len(letter) == 1


@dataclass(frozen=True)
class Timeline:
    """Tracks of labels one above the other, wrapped, with a time axis; coarser where the recording is long."""

    tracks: dict[str, list[Span]]
    """Name -> spans; one track without a name needs no margin."""

    end_s: float
    palette: Palette
    max_rows: int
    start_s: float = 0.0
    """What came before is not drawn."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw it as wide as there is room."""
        margin = max(len(name) for name in self.tracks) + 2 if any(self.tracks) else 0
        cells = max(TICK_CELLS, (options.max_width - margin) // TICK_CELLS * TICK_CELLS)
        length_s = self.end_s - self.start_s
        fitting = (cell_s for cell_s in CELL_CHOICES_S if length_s <= self.max_rows * cells * cell_s)
        cell_s = next(fitting, CELL_CHOICES_S[-1])
        row_s = cells * cell_s
        for row in range(max(1, -int(-length_s // row_s))):
            yield Text(" " * margin).append(self._axis(self.start_s + row * row_s, cells, cell_s), "dim")
            for name, spans in self.tracks.items():
                yield Text(name.ljust(margin)).append_text(
                    self._strip(spans, self.start_s + row * row_s, cells, cell_s)
                )

    def _strip(self, spans: list[Span], start_s: float, cells: int, cell_s: float) -> Text:
        strip = Text()
        for cell in range(cells):
            middle_s = start_s + (cell + 0.5) * cell_s
            if middle_s < self.end_s:
                span = span_at(middle_s, spans)
                strip.append_text(self.palette.block(span.label) if span else Text(SILENCE_KEY, "dim"))
        return strip

    def _axis(self, start_s: float, cells: int, cell_s: float) -> str:
        ticks_s = (start_s + cell * cell_s for cell in range(0, cells, TICK_CELLS))
        return "".join(clock(tick_s).ljust(TICK_CELLS) for tick_s in ticks_s if tick_s <= self.end_s)


def clock(seconds: float) -> str:
    """65 -> "1:05", 3665 -> "1:01:05"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
