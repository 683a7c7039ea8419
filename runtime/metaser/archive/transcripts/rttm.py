"""RTTM, the format of speaker diarisation (NIST, Rich Transcription 2009 evaluation plan, appendix A).

SPEAKER interview 1 12.340 3.210 <NA> <NA> Ann <NA> <NA>
        recording  start  length           speaker
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from metaser.archive.transcripts.cue import Cue, Mark, TranscriptError, text_of
from metaser.runtime.csv_cells import csv_cell
from metaser.runtime.system.files import replace_text

SPEAKER = "SPEAKER"
NO_VALUE = "<NA>"
LEAST_FIELDS = 8


class Rttm:
    """The turns of one recording in an RTTM file, which may hold those of many.

    Parameters:
        recording: the name of the recording in the file.
    """

    def __init__(self, recording: str) -> None:
        self._recording = recording

    def read(self, path: Path) -> list[Cue]:
        """The turns of the recording, as `Format.read`."""
        return turns_in(path)[self._recording]

    def write(self, path: Path, target: Path, marks: Sequence[Mark | None]) -> None:
        """Write the turns with their labels as CSV, since RTTM has no field for a label."""
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["recording", "start_s", "end_s", "speaker", "label", "confidence"])
        for turn, mark in zip(self.read(path), marks, strict=True):
            label = (csv_cell(mark.label), f"{mark.confidence:.4f}") if mark else ("", "")
            times = (f"{turn.start_s:.3f}", f"{turn.end_s:.3f}")
            rows.writerow([csv_cell(self._recording), *times, csv_cell(turn.speaker), *label])
        replace_text(target.with_name(f"{target.stem}-{self._recording}.csv"), table.getvalue())


def turns_in(path: Path) -> dict[str, list[Cue]]:
    """The turns of an RTTM file by the name of their recording.

    Raises:
        TranscriptError, OSError: it cannot be read.
    """
    turns: dict[str, list[Cue]] = {}
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0] != SPEAKER:
            continue
        try:
            name, start_s, duration_s, speaker = fields[1], float(fields[3]), float(fields[4]), fields[7]
        except (IndexError, ValueError):
            raise TranscriptError(
                f"{path} line {number} is not RTTM: give SPEAKER RECORDING CHANNEL START DURATION <NA> <NA> NAME"
            ) from None
        turns.setdefault(name, []).append(Cue(start_s, start_s + duration_s, "" if speaker == NO_VALUE else speaker))
    if not turns:
        raise TranscriptError(f"{path} has no lines that begin with {SPEAKER}")
    return turns
