"""The pieces of a recording that get a label: a clip, its utterances, or given parts; each is decoded once."""

from __future__ import annotations

import os
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from metaser.archive.source.unit import WHOLE, Span
from metaser.archive.work.utterances import utterances
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.file import AudioFile
from metaser.runtime.audio.load import MAX_CLIP_S, as_clip
from metaser.runtime.audio.recordings import cannot_be_read
from metaser.runtime.audio.resampler import resample
from metaser.runtime.audio.trim import LONG_S
from metaser.runtime.errors import MetaserError

AFTER_END_S = 0.5
"""Transcripts often end a little after the recording; from here on it is reported."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of a recording, at 16 kHz, or the reason why there is none."""

    span: Span
    """The unit that it belongs to."""

    start_s: float = 0.0
    waveform: Waveform | None = None
    """[T]; None with an error."""

    is_speech: bool = False
    """It is an utterance: its ends are known, and so is that it is speech."""

    notices: tuple[str, ...] = ()
    error: str = ""
    is_last: bool = False
    """It completes its unit."""


def pieces_of(path: str, spans: Sequence[Span]) -> Iterator[Piece]:
    """Yield the pieces of a recording's units, the whole recording and parts of it, each once it is decoded.

    A part is resampled with what is before it, so that it does not depend on which other parts are wanted.
    """
    place = _existing(path)
    if WHOLE in spans:
        yield from _whole(place)
    if parts := sorted({span for span in spans if span != WHOLE}, key=_start):
        yield from _parts(place, parts)


def _whole(path: Path) -> Iterator[Piece]:
    """A clip as one piece; the utterances of a longer recording."""
    file = AudioFile(path)
    blocks = file.blocks()
    begun: list[Waveform] = []
    try:
        for block in blocks:
            begun.append(block)
            if file.samples > LONG_S * file.rate_hz:
                break
        else:
            clip = as_clip(file, begun)
            yield Piece(WHOLE, 0.0, clip.waveform, notices=clip.notices, is_last=True)
            return
        yield from _spoken(file, chain(begun, blocks))
    except (MetaserError, OSError) as error:
        yield Piece(WHOLE, error=_reason(error), is_last=True)


def _spoken(file: AudioFile, blocks: Iterable[Waveform]) -> Iterator[Piece]:
    """The utterances of a recording; the last one carries the notices of the file."""
    before: Piece | None = None
    for utterance in utterances(resample(blocks, file.rate_hz, SAMPLE_RATE_HZ)):
        if before:
            yield before
        before = Piece(WHOLE, utterance.start / SAMPLE_RATE_HZ, utterance.samples, is_speech=True)
    if before is None:
        duration_s = file.samples / file.rate_hz
        yield Piece(WHOLE, error=f"no speech was found in {duration_s:.0f} s: check the recording", is_last=True)
    else:
        yield Piece(WHOLE, before.start_s, before.waveform, is_speech=True, notices=tuple(file.notices), is_last=True)


def _parts(path: Path, parts: Sequence[Span]) -> Iterator[Piece]:
    """The given parts, in the order of their starts, from one reading of the file."""
    left = deque(parts)
    kept = _Kept()
    try:
        for block in _at_16_khz(AudioFile(path)):
            kept.push(block)
            while left and (piece := kept.piece(left[0])):
                left.popleft()
                yield piece
            if not left:
                return
            kept.forget(_start(left[0]))
        while left:  # the first reaches the end of the recording; others behind it may end before
            span = left.popleft()
            yield kept.piece(span) or kept.last_piece(span)
    except (MetaserError, OSError) as error:
        for span in left:
            yield Piece(span, error=_reason(error), is_last=True)


class _Kept:
    """The samples of a recording from the start of the next part to the newest."""

    def __init__(self) -> None:
        self._samples: Waveform = np.zeros(0, np.float32)
        self._first = 0  # sample of the recording that they begin with

    def push(self, block: Waveform) -> None:
        self._samples = np.concatenate([self._samples, block])

    def forget(self, before_s: float) -> None:
        """Drop the samples before this time."""
        count = min(len(self._samples), max(0, round(before_s * SAMPLE_RATE_HZ) - self._first))
        self._samples, self._first = self._samples[count:], self._first + count

    def piece(self, span: Span) -> Piece | None:
        """A part that has been read to its end; None if more is to come."""
        start_s, end_s = _start(span), span[1]
        if end_s is None:
            if self._end_s - start_s <= MAX_CLIP_S:
                return None
            error = f"it has more than {MAX_CLIP_S:g} s up to the end of the recording: give an end"
            return Piece(span, start_s, error=error, is_last=True)
        return self._cut(span, end_s) if end_s <= self._end_s else None

    def last_piece(self, span: Span) -> Piece:
        """A part that reaches up to the end of the recording, or past it."""
        start_s, end_s = _start(span), span[1]
        if start_s >= self._end_s:
            error = f"it starts at {start_s:g} s, but the recording has {self._end_s:.2f} s"
            return Piece(span, start_s, error=error, is_last=True)
        if end_s is None or end_s - self._end_s < AFTER_END_S:
            return self._cut(span, self._end_s)
        return self._cut(span, self._end_s, f"it ends at {end_s:g} s, but the recording has {self._end_s:.2f} s")

    @property
    def _end_s(self) -> float:
        return (self._first + len(self._samples)) / SAMPLE_RATE_HZ

    def _cut(self, span: Span, end_s: float, *notices: str) -> Piece:
        start, end = (round(time_s * SAMPLE_RATE_HZ) - self._first for time_s in (_start(span), end_s))
        return Piece(span, _start(span), self._samples[start:end], notices=notices, is_last=True)


def _at_16_khz(file: AudioFile) -> Iterator[Waveform]:
    blocks = file.blocks()
    for block in blocks:  # the rate is known after the first
        yield from resample(chain([block], blocks), file.rate_hz, SAMPLE_RATE_HZ)


def _start(span: Span) -> float:
    return span[0] or 0.0


def _existing(path: str) -> Path:
    """The file; a manifest and the file system may use different Unicode normal forms of one name."""
    forms = [path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)]
    return Path(next((each for each in forms if os.path.lexists(each)), path))


def _reason(error: Exception) -> str:
    """Why a recording cannot be used."""
    if isinstance(error, OSError) and not isinstance(error, MetaserError):
        return f"it {cannot_be_read(error)}"
    return str(error)
