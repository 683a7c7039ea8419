"""Timelines of labels, drawn as letters on coloured blocks, so that they are readable without colour."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

from metaser.cli.view.levels import LevelHistory, share_of_range
from metaser.cli.view.spans import Span, span_at
from metaser.runtime.words import plain

COLOURS = ("red", "yellow", "green", "blue", "magenta", "cyan")
UNKNOWN = "unknown"
UNKNOWN_KEY = "?"
SILENCE_KEY = "."
SPEECH_KEY = "-"
"""Speech that has no label yet."""
BLOCKS, ASCII_BLOCKS = " ▁▂▃▄▅▆▇█", " .:-=+*#"
LEVEL_TRACK = "level"
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

    def bar(self, label: str, share: float, width: int) -> Bar:
        """A bar in the label's colour, filled to `share` (0 to 1)."""
        return Bar(share, width, self.colour(label))

    def legend(self) -> Text:
        """Every letter with its label."""
        entries = (Text.assemble(self.block(label), " ", plain(label)) for label in self.labels)
        return Text("   ").join([*entries, Text(f"{UNKNOWN_KEY} {UNKNOWN}"), Text(f"{SILENCE_KEY} silence")])


def _fits(letter: str) -> bool:
    return letter.isalnum() and cell_len(letter) == 1


@dataclass(frozen=True)
class Bar:
    """A bar filled to a share, whose empty part differs also without colour."""

    share: float
    width: int
    colour: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw it in steps of half a cell, or of a whole one in ASCII."""
        width = min(self.width, options.max_width)
        halves = round(2 * width * min(max(self.share, 0.0), 1.0))
        full, half = divmod(halves, 2)
        filled = "#" * full if options.ascii_only else "━" * full + "╸" * half
        empty = ("." if options.ascii_only else "·") * (width - len(filled))
        yield Text.assemble((filled, self.colour), (empty, "dim"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """The width in a table."""
        return Measurement(min(self.width, options.max_width), min(self.width, options.max_width))


@dataclass(frozen=True)
class Timeline:
    """Stacked, wrapped tracks of labels with a time axis; long recordings are drawn more coarsely."""

    tracks: dict[str, list[Span]]
    """Name -> spans; a single track without a name has no margin."""

    end_s: float
    palette: Palette
    max_rows: int
    start_s: float = 0.0
    """Earlier audio is not drawn."""

    levels: LevelHistory | None = None
    """Drawn above the tracks; also marks speech that has no label yet."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw the timeline in the available width."""
        names = [*self.tracks, *([LEVEL_TRACK] if self.levels else [])]
        margin = max(map(len, names)) + 2 if any(names) else 0
        cells = max(TICK_CELLS, (options.max_width - margin) // TICK_CELLS * TICK_CELLS)
        length_s = self.end_s - self.start_s
        fitting = (cell_s for cell_s in CELL_CHOICES_S if length_s <= self.max_rows * cells * cell_s)
        cell_s = next(fitting, CELL_CHOICES_S[-1])
        row_s = cells * cell_s
        for row in range(max(1, -int(-length_s // row_s))):
            yield Text(" " * margin).append(self._axis(self.start_s + row * row_s, cells, cell_s), "dim")
            starts_s = [self.start_s + row * row_s + cell * cell_s for cell in range(cells)]
            heard_s = [start_s for start_s in starts_s if start_s + cell_s / 2 < self.end_s]
            if self.levels:
                blocks = ASCII_BLOCKS if options.ascii_only else BLOCKS
                peaks = (self.levels.peak(start_s, start_s + cell_s) for start_s in heard_s)
                strip = "".join(blocks[round(share_of_range(peak) * (len(blocks) - 1))] for peak in peaks)
                yield Text(LEVEL_TRACK.ljust(margin) + strip)
            for name, spans in self.tracks.items():
                keys = [self._key(spans, start_s, cell_s) for start_s in heard_s]
                yield Text.assemble(name.ljust(margin), *keys)

    def _key(self, spans: list[Span], start_s: float, cell_s: float) -> Text:
        if span := span_at(start_s + cell_s / 2, spans):
            return self.palette.block(span.label)
        is_speech = self.levels is not None and self.levels.is_speech(start_s, start_s + cell_s)
        return Text(SPEECH_KEY if is_speech else SILENCE_KEY, "dim")

    def _axis(self, start_s: float, cells: int, cell_s: float) -> str:
        ticks_s = (start_s + cell * cell_s for cell in range(0, cells, TICK_CELLS))
        return "".join(clock(tick_s).ljust(TICK_CELLS) for tick_s in ticks_s if tick_s <= self.end_s)


def clock(seconds: float, decimals: int = 0) -> str:
    """65 -> "1:05", 3665 -> "1:01:05"; 65.25 with two decimals -> "1:05.25"."""
    parts = 10**decimals
    whole, fraction = divmod(round(seconds * parts) if decimals else int(seconds), parts)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{shown}.{fraction:0{decimals}}" if decimals else shown
