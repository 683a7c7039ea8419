"""The transcripts again, in their own format, with the label of each cue."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from metaser.archive.tables.rows import Results
from metaser.archive.transcripts.cue import TranscriptError

FOLDER = "transcripts"


def write_transcripts(results: Results, out: Path) -> None:
    """Write the transcripts of all recordings below `transcripts/`.

    One that has changed or gone since its recording was labelled is left out.

    Raises:
        WorkError: one cannot be written.
    """
    for recording, transcript in results.source.recordings():
        with suppress(TranscriptError):  # a row of the results says so
            cues = transcript.cues()
            marks = [results.mark(unit) for unit in results.source.units_of(recording, cues)]
            transcript.form.write(transcript.path, out / FOLDER / transcript.target, marks)
