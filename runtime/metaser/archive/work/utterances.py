"""Cutting a long recording into its utterances, in flat memory.

An utterance ends at a pause, as in a stream. One without a pause for a long time is cut where speech is least probable:

speech    [===========================================]     longer than MAX_UTTERANCE_S
cut       [------------------|-----------------][-----]     in the second half of each MAX_UTTERANCE_S
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.offset import OffsetRemoval
from metaser.runtime.audio.silero import SpeechDetector
from metaser.runtime.audio.voice_activity import CHUNK_S, CHUNK_SAMPLES, VoiceActivity, VoiceActivitySettings
from metaser.runtime.stream.settings import StreamSettings

MAX_UTTERANCE_S = 10.0
"""A longer utterance is cut: an emotion seldom stays longer."""

MIN_SAMPLES = round(StreamSettings.min_utterance_s * SAMPLE_RATE_HZ)
"""Shorter bursts get no label, as in a stream."""

MAX_CHUNKS = round(MAX_UTTERANCE_S / CHUNK_S)
SETTINGS = VoiceActivitySettings()
KEPT_CHUNKS = 2 + round((SETTINGS.onset_s + SETTINGS.padding_s) / CHUNK_S)
"""Chunks before an utterance that can belong to it."""


class Utterance(NamedTuple):
    """A stretch of speech."""

    start: int
    """Its first sample in the recording, at 16 kHz."""

    samples: Waveform
    """[T] at 16 kHz"""


def utterances(blocks: Iterable[Waveform]) -> Iterator[Utterance]:
    """Yield the utterances of a recording, given as samples [T] at 16 kHz in blocks of any length."""
    cutter = _Cutter()
    rest: Waveform = np.zeros(0, np.float32)
    for block in blocks:
        samples = np.concatenate([rest, block])
        whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
        rest = samples[whole:]
        yield from cutter.push(samples[:whole])
    if len(rest):
        padded = np.pad(rest, (0, CHUNK_SAMPLES - len(rest)))
        yield from cutter.push(padded)
    yield from cutter.finish(heard=len(rest) - CHUNK_SAMPLES if len(rest) else 0)


class _Cutter:
    """The state of one recording."""

    def __init__(self) -> None:
        self._detector = SpeechDetector()
        self._voice = VoiceActivity(SETTINGS)
        self._offset = OffsetRemoval()
        self._chunks: list[Waveform] = []  # that an utterance can still need
        self._probabilities: list[float] = []  # of speech in them
        self._first = 0  # number of the first of them
        self._cut = 0  # sample at which the current utterance was last cut

    def push(self, samples: Waveform) -> Iterator[Utterance]:
        """Take whole chunks of samples."""
        chunks = [
            self._offset.remove(samples[start : start + CHUNK_SAMPLES])
            for start in range(0, len(samples), CHUNK_SAMPLES)
        ]
        probabilities = self._detector.hear(np.concatenate(chunks)) if chunks else ()
        for chunk, probability in zip(chunks, probabilities, strict=True):
            self._chunks.append(chunk)
            self._probabilities.append(float(probability))
            yield from self._hear(float(probability))

    def finish(self, heard: int) -> Iterator[Utterance]:
        """End the last utterance; `heard` is minus the number of samples that padded the recording."""
        if ended := self._voice.close():
            assert ended.end is not None
            end = min(ended.end, (self._first + len(self._chunks)) * CHUNK_SAMPLES + heard)
            yield from self._taken(max(ended.start, self._cut), end)

    def _hear(self, probability: float) -> Iterator[Utterance]:
        utterance = self._voice.push(probability)
        if utterance is None:
            self._forget(self._first + len(self._chunks) - KEPT_CHUNKS)
            return
        start = max(utterance.start, self._cut)
        if utterance.end is not None:
            yield from self._taken(start, utterance.end)
            self._cut = utterance.end
            self._forget(utterance.end // CHUNK_SAMPLES)
        elif (self._first + len(self._chunks)) * CHUNK_SAMPLES - start >= MAX_CHUNKS * CHUNK_SAMPLES:
            end = self._quietest(start)
            yield from self._taken(start, end)
            self._cut = end
            self._forget(end // CHUNK_SAMPLES)

    def _quietest(self, start: int) -> int:
        """The sample in the second half of the chunks since `start` around which speech is least probable."""
        begin = start // CHUNK_SAMPLES - self._first + MAX_CHUNKS // 2
        return (self._first + begin + int(np.argmin(self._probabilities[begin:]))) * CHUNK_SAMPLES

    def _taken(self, start: int, end: int) -> Iterator[Utterance]:
        if end - start < MIN_SAMPLES:
            return
        first = start // CHUNK_SAMPLES
        samples = np.concatenate(self._chunks[first - self._first : -(-end // CHUNK_SAMPLES) - self._first])
        yield Utterance(start, samples[start - first * CHUNK_SAMPLES : end - first * CHUNK_SAMPLES])

    def _forget(self, before: int) -> None:
        """Drop the chunks before this number."""
        count = max(0, min(before - self._first, len(self._chunks)))
        del self._chunks[:count], self._probabilities[:count]
        self._first += count
