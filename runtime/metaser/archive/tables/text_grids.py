"""The labels of each recording as a TextGrid for Praat and ELAN, whatever its transcript is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from metaser.archive.tables.speakers import Stretch, Timeline
from metaser.archive.transcripts.textgrid import EMOTION, praatio
from metaser.runtime.system.files import replacing
from metaser.runtime.words import plain

TEXT = "text"


def write_text_grid(timeline: Timeline, path: Path) -> None:
    """Write a TextGrid: for each speaker a tier of what was said, and a tier of labels.

    Raises:
        MissingDependencyError: praatio is not installed.
        WorkError: the file cannot be written.
    """
    library = praatio()
    grid = library.Textgrid(0.0, timeline.duration_s)
    for speaker, stretches in sorted(timeline.speakers.items()):
        intervals = list(without_overlaps(stretches))
        texts = [(start_s, end_s, each.text) for start_s, end_s, each in intervals if each.text.strip()]
        labels = [(start_s, end_s, plain(each.label)) for start_s, end_s, each in intervals]
        if texts:
            grid.addTier(library.IntervalTier(plain(speaker) or TEXT, texts, 0.0, timeline.duration_s))
        name = f"{EMOTION} of {plain(speaker)}" if speaker else EMOTION
        grid.addTier(library.IntervalTier(name, labels, 0.0, timeline.duration_s))
    with replacing(path) as file:
        grid.save(file.name, "long_textgrid", includeBlankSpaces=True, reportingMode="silence")


def without_overlaps(stretches: Sequence[Stretch]) -> Iterator[tuple[float, float, Stretch]]:
    """Yield (start, end, stretch) in order; a tier has no overlaps, so each begins after the one before it."""
    before_s = 0.0
    for stretch in sorted(stretches, key=lambda each: each.start_s):
        start_s = max(before_s, stretch.start_s)
        if stretch.end_s > start_s:
            yield start_s, stretch.end_s, stretch
            before_s = stretch.end_s
