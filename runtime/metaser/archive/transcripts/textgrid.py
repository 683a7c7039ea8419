"""TextGrids of Praat, by the library praatio."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.archive.transcripts.cue import Cue, Mark, TranscriptError, text_of
from metaser.runtime.errors import MissingDependencyError
from metaser.runtime.system.files import replacing
from metaser.runtime.words import listed, plain

if TYPE_CHECKING:
    from types import ModuleType

    from praatio.data_classes.interval_tier import IntervalTier
    from praatio.data_classes.textgrid import Textgrid

EMOTION = "emotion"
"""The name of the tier of labels; with several tiers, `emotion of TIER`."""

SMALL_UNITS = frozenset({
    "phone", "phoneme", "phonemes", "phones", "segment", "segments", "syllable", "syllables", "word", "words",
})  # fmt: skip
"""A tier whose name ends in one of these holds parts of utterances."""


class TextGrid:
    """A TextGrid: the intervals with text are the cues; with several tiers, a tier's name is the speaker.

    Parameters:
        tiers: the names of the tiers to read; none: all interval tiers but those of words and smaller units.
    """

    def __init__(self, tiers: Sequence[str] = ()) -> None:
        self._tiers = tuple(tiers)

    def read(self, path: Path) -> list[Cue]:
        """The intervals with text in the chosen tiers, tier by tier, as `Format.read`."""
        chosen = self._chosen(path, _opened(path))
        named = len(chosen) > 1
        return [
            Cue(float(start), float(end), tier.name if named else "", " ".join(text.split()))
            for tier in chosen
            for start, end, text in _with_text(tier)
        ]

    def write(self, path: Path, target: Path, marks: Sequence[Mark | None]) -> None:
        """Write a TextGrid with a tier of labels for each chosen tier, as `Format.write`."""
        grid = _opened(path)
        chosen = self._chosen(path, grid)
        left = iter(marks)
        for tier in chosen:
            intervals = [(start, end, next(left)) for start, end, _ in _with_text(tier)]
            labelled = [(start, end, plain(mark.label)) for start, end, mark in intervals if mark]
            name = _free_name(EMOTION if len(chosen) == 1 else f"{EMOTION} of {tier.name}", grid.tierNames)
            grid.addTier(
                praatio().IntervalTier(name, labelled, tier.minTimestamp, tier.maxTimestamp), reportingMode="silence"
            )
        with replacing(target) as file:
            grid.save(file.name, "long_textgrid", includeBlankSpaces=True, reportingMode="silence")

    def _chosen(self, path: Path, grid: Textgrid) -> list[IntervalTier]:
        tiers = [tier for tier in grid.tiers if isinstance(tier, praatio().IntervalTier)]
        names = listed([plain(tier.name) for tier in tiers], 8) or "none"
        if missing := [name for name in self._tiers if name not in (tier.name for tier in tiers)]:
            raise TranscriptError(f"{path} has no interval tier {missing[0]}: its interval tiers are {names}")
        chosen = [tier for tier in tiers if (tier.name in self._tiers if self._tiers else _holds_utterances(tier))]
        if not any(True for tier in chosen for _ in _with_text(tier)):
            raise TranscriptError(f"{path} has no tier of utterances: choose one with --tier NAME; it has {names}")
        return chosen


def praatio() -> ModuleType:
    """The module `praatio.textgrid`.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from praatio import textgrid
    except ImportError as error:
        raise MissingDependencyError("TextGrids need praatio: pip install 'metaser[transcripts]'") from error
    return textgrid


def _opened(path: Path) -> Textgrid:
    library = praatio()
    from praatio.utilities.errors import PraatioException

    text_of(path)  # checks the encoding
    try:
        with redirect_stdout(io.StringIO()):  # praatio prints what it changes
            grid: Textgrid = library.openTextgrid(str(path), True, "silence", "rename")
    except (PraatioException, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise TranscriptError(f"{path} is not a TextGrid, or is damaged: save it again with Praat") from error
    if not grid.tiers:
        raise TranscriptError(f"{path} is not a TextGrid, or has no tiers: save it again with Praat")
    return grid


def _with_text(tier: IntervalTier) -> Iterator[tuple[float, float, str]]:
    return ((start, end, text) for start, end, text in tier.entries if text.strip())


def _holds_utterances(tier: IntervalTier) -> bool:
    name = tier.name.lower().replace("_", " ").replace("-", " ").split()
    return not name or (name[-1] not in SMALL_UNITS and name[0] != EMOTION)


def _free_name(name: str, taken: Sequence[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free
