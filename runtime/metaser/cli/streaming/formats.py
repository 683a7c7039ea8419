"""Finished segments as CSV, subtitles or an Audacity label track, each written as soon as it ends."""

from __future__ import annotations

import csv
import sys
from enum import Enum
from typing import TYPE_CHECKING

from metaser.cli.view.drawing import UNKNOWN
from metaser.runtime.csv_cells import csv_cell
from metaser.runtime.stream.recording import track_line
from metaser.runtime.system.clock import time_of_day
from metaser.runtime.words import plain

if TYPE_CHECKING:
    from metaser.cli.streaming.playback import Heard
    from metaser.runtime import StreamEvent


ARROW = "-->"
NO_NAME = "(no name)"
"""Replaces a label that would be an empty line, because an empty line ends a subtitle."""


class Format(str, Enum):
    """Output formats of a stream."""

    json = "json"
    csv = "csv"
    srt = "srt"
    audacity = "audacity"


class SegmentFormat:
    """Write each finished segment to standard output in one of the formats."""

    def __init__(self, form: Format, *, live: bool) -> None:
        self._form = form
        self._live = live
        self._count = 0
        self._rows = csv.writer(sys.stdout, lineterminator="\n")
        if form is Format.csv:
            self._rows.writerow([*(["time"] if live else []), "start_s", "end_s", "label", "confidence"])

    def on_event(self, event: StreamEvent) -> None:
        """Write the segment if the event ends one."""
        if event.event != "leave":
            return
        assert event.end_s is not None
        self._count += 1
        if self._form is Format.csv:
            times = (*((time_of_day(),) if self._live else ()), f"{event.start_s:.3f}", f"{event.end_s:.3f}")
            self._rows.writerow([*times, csv_cell(event.label or ""), f"{event.confidence:.4f}"])
        elif self._form is Format.srt:
            shown = f"{subtitle_time(event.start_s)} --> {subtitle_time(event.end_s)}"
            sys.stdout.write(f"{self._count}\n{shown}\n{subtitle_text(event.label)}\n\n")
        else:
            sys.stdout.write(track_line(event))
        sys.stdout.flush()

    def refresh(self, heard: Heard) -> None:
        """Do nothing: this view has no live part."""


def subtitle_text(label: str | None) -> str:
    """A label as the one line of a subtitle, without the arrow that separates subtitle times."""
    return plain(UNKNOWN if label is None else label).replace(ARROW, "->").strip() or NO_NAME


def subtitle_time(seconds: float) -> str:
    """3725.5 -> "01:02:05,500"."""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"
