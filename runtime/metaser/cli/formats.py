"""Finished segments as CSV, subtitles or an Audacity label track, each written as soon as it is over."""

from __future__ import annotations

import csv
import sys
from enum import Enum
from typing import TYPE_CHECKING

from metaser.cli.drawing import UNKNOWN

if TYPE_CHECKING:
    from metaser.cli.recording import Heard
    from metaser.runtime import StreamEvent


class Format(str, Enum):
    """What a stream prints for programs."""

    json = "json"
    csv = "csv"
    srt = "srt"
    audacity = "audacity"


class SegmentFormat:
    """Every segment that is over, in one of the formats, on standard output."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._count = 0
        self._rows = csv.writer(sys.stdout, lineterminator="\n")
        if form is Format.csv:
            self._rows.writerow(["start_s", "end_s", "label", "confidence"])

    def hear(self, event: StreamEvent) -> None:
        """Write the segment where it is over."""
        if event.event != "leave":
            return
        assert event.end_s is not None
        self._count += 1
        label = (event.label or UNKNOWN).replace("\n", " ").replace("\t", " ")
        if self._form is Format.csv:
            times = (f"{event.start_s:.3f}", f"{event.end_s:.3f}")
            self._rows.writerow([*times, event.label or "", f"{event.confidence:.4f}"])
        elif self._form is Format.srt:
            shown = f"{subtitle_time(event.start_s)} --> {subtitle_time(event.end_s)}"
            sys.stdout.write(f"{self._count}\n{shown}\n{label}\n\n")
        else:
            sys.stdout.write(f"{event.start_s:.6f}\t{event.end_s:.6f}\t{label}\n")
        sys.stdout.flush()

    def tick(self, heard: Heard) -> None:
        """Nothing moves."""


def subtitle_time(seconds: float) -> str:
    """3725.5 -> "01:02:05,500"."""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"
