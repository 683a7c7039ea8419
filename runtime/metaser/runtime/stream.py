"""A live stream: any chunks of samples in, label events out; the result depends on the samples alone.

samples   |512|512|512|...                      cut to Silero's chunks, whatever comes in
speech        [=================]               utterances, see voice_activity.py
windows       [------]                          the first when `min_window_s` was heard, then every hop,
              [----------]                      reaching back to the utterance's start or `window_s`
                  [---------]
events        enter   update ... leave silence
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import soxr

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio import check_samples
from metaser.runtime.decision import Calibration
from metaser.runtime.errors import AudioError, InputError
from metaser.runtime.segment import Scores, Segment
from metaser.runtime.voice_activity import CHUNK_S, CHUNK_SAMPLES, Utterance, VoiceActivity, VoiceActivitySettings

RESAMPLE_BLOCK_S = 0.02


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is cut into windows."""

    window_s: float = 3.0
    """The longest stretch of speech a label looks back on."""

    hop_s: float = 0.5
    """Time between two windows."""

    min_window_s: float = 1.0
    """Speech before the first provisional label."""

    min_utterance_s: float = 0.3
    """Shorter bursts get no label."""

    dwell_s: float = 1.5
    """How long a new label must hold inside an utterance before it is believed."""

    voice_activity: VoiceActivitySettings = field(default_factory=VoiceActivitySettings)

    def __post_init__(self) -> None:
        if (
            not CHUNK_S <= self.hop_s <= self.window_s < math.inf
            or not 0 < self.min_utterance_s <= self.min_window_s <= self.window_s
        ):
            raise InputError(
                f"a window of {self.window_s:g} s, a hop of {self.hop_s:g} s, the first of {self.min_window_s:g} s "
                f"and utterances from {self.min_utterance_s:g} s: each must be above 0 and not longer than the window, "
                f"and a hop at least {CHUNK_S:g} s"
            )


@dataclass(frozen=True)
class StreamEvent:
    """What a stream has to say; times are seconds from the stream's first sample."""

    event: str
    """`enter` a label, `update` it, `leave` it for good, `silence` begins."""

    label: str | None
    """The class; None for unknown and for silence."""

    start_s: float
    end_s: float | None
    """None while open."""

    confidence: float
    scores: dict[str, float]
    """Probability of each class; empty for silence."""

    latency_ms: float
    """From the push that completed the window to this event."""

    dropped_ms: float = 0.0
    """Audio lost so far; pulled sources lose none."""


class Stream:
    """The state of one stream; made by `Engine.stream`. Not safe from two threads at once; two streams are."""

    def __init__(
        self,
        embed_scores: Callable[[Waveform], Scores],
        labels: tuple[str, ...],
        calibration: Calibration,
        sample_rate_hz: int,
        settings: StreamSettings,
    ) -> None:
        if sample_rate_hz < 1:
            raise InputError(f"a sample rate of {sample_rate_hz} Hz: give the rate of the chunks you push")
        self._score = embed_scores
        self._labels = labels
        self._calibration = calibration
        self._settings = settings
        self._hop = round(settings.hop_s * SAMPLE_RATE_HZ)
        self._window = round(settings.window_s * SAMPLE_RATE_HZ)
        self._min_window = round(settings.min_window_s * SAMPLE_RATE_HZ)
        self._dwell_windows = max(1, round(settings.dwell_s / settings.hop_s))
        self._resampler = _Resampler(sample_rate_hz)
        self._voice = VoiceActivity(settings.voice_activity)
        self._pending: Waveform = np.zeros(0, np.float32)  # heard, less than a chunk
        self._history: Waveform = np.zeros(0, np.float32)  # the newest samples that went through voice activity
        self._position = 0  # samples that went through voice activity
        self._heard = 0  # samples at 16 kHz, padding excluded
        self._segment: Segment | None = None
        self._next_window = 0  # sample at which the next window ends
        self._last_window = 0  # sample at which the last one ended
        self._pushed_at = 0.0
        self._finished = False
        history_s = settings.window_s + settings.voice_activity.hangover_s + settings.voice_activity.onset_s
        self._history_samples = round(history_s * SAMPLE_RATE_HZ) + 4 * CHUNK_SAMPLES + self._hop

    @property
    def position_s(self) -> float:
        """Seconds of audio that were heard and decided on."""
        return self._position / SAMPLE_RATE_HZ

    @property
    def in_speech(self) -> bool:
        """Whether an utterance runs."""
        return self._segment is not None

    def push(self, chunk: npt.ArrayLike) -> list[StreamEvent]:
        """Hear a chunk, float samples [T] of any length at the stream's rate; the events it completes.

        Raises:
            AudioError: not [T] float samples, not finite or far out of [-1, 1]; the stream is as before.
            InputError: the stream is finished.
        """
        samples = np.asarray(chunk)
        if self._finished:
            raise InputError("the stream is finished: open a new one with Engine.stream")
        if samples.ndim != 1 or samples.dtype.kind != "f":
            raise AudioError(f"a chunk is {samples.dtype} of shape {samples.shape}: push float samples [T] in [-1, 1]")
        samples = samples.astype(np.float32, copy=False)
        check_samples(samples, "a chunk")
        self._pushed_at = time.perf_counter()
        return list(self._hear(self._resampler.push(samples)))

    def finish(self) -> list[StreamEvent]:
        """Hear what is left, close the last utterance; the events this completes."""
        if self._finished:
            return []
        self._pushed_at = time.perf_counter()
        events = list(self._hear(self._resampler.finish()))
        if rest := len(self._pending):
            events += self._hear(np.zeros(CHUNK_SAMPLES - rest, np.float32), heard=0)
        if utterance := self._voice.close():
            events += self._close(utterance)
        self._finished = True
        return events

    def _hear(self, samples: Waveform, heard: int | None = None) -> Iterator[StreamEvent]:
        self._heard += len(samples) if heard is None else heard
        self._pending = np.concatenate([self._pending, samples])
        while len(self._pending) >= CHUNK_SAMPLES:
            chunk, self._pending = self._pending[:CHUNK_SAMPLES], self._pending[CHUNK_SAMPLES:]
            self._history = np.concatenate([self._history, chunk])[-self._history_samples :]
            self._position += CHUNK_SAMPLES
            utterance = self._voice.push(chunk)
            if utterance is None:
                continue
            if utterance.end is not None:
                yield from self._close(utterance)
            else:
                yield from self._run(utterance)

    def _run(self, utterance: Utterance) -> Iterator[StreamEvent]:
        """An utterance runs: label its newest window where one is due; in a pause it waits."""
        if self._segment is None:
            self._segment = self._new_segment(utterance.start)
            self._next_window = utterance.start + self._min_window
            self._last_window = utterance.start
        if not utterance.quiet and self._position >= self._next_window:
            yield from self._label(utterance.start, self._next_window)
            while self._next_window <= self._position:
                self._next_window += self._hop

    def _close(self, utterance: Utterance) -> Iterator[StreamEvent]:
        """An utterance is over: label what its windows have not heard, and leave."""
        assert utterance.end is not None
        end = min(utterance.end, self._heard)
        if self._segment is None:  # it began and ended within one push of voice activity
            self._segment = self._new_segment(utterance.start)
            self._last_window = utterance.start
        long_enough = end - utterance.start >= self._settings.min_utterance_s * SAMPLE_RATE_HZ
        if end > self._last_window and (long_enough or not self._segment.is_empty):
            yield from self._label(utterance.start, end)
        if not self._segment.is_empty:
            yield self._event("leave", self._segment, end)
            yield StreamEvent("silence", None, end / SAMPLE_RATE_HZ, None, 1.0, {}, self._latency_ms())
        self._segment = None

    def _label(self, utterance_start: int, end: int) -> Iterator[StreamEvent]:
        """Score the window that ends at `end` and say what follows from it."""
        assert self._segment is not None
        first = self._position - len(self._history)  # the sample the history starts with
        start = max(utterance_start, end - self._window, first)
        scores = self._score(self._history[start - first : end - first])
        entering = self._segment.is_empty
        successor = self._segment.hear(scores, self._last_window)
        self._last_window = end
        if successor is not None:
            yield self._event("leave", self._segment, successor.start)
            self._segment = successor
        yield self._event("enter" if entering or successor else "update", self._segment, None)

    def _new_segment(self, start: int) -> Segment:
        return Segment(start, self._labels, self._calibration, self._dwell_windows)

    def _event(self, name: str, segment: Segment, end: int | None) -> StreamEvent:
        decision = segment.decision
        return StreamEvent(
            event=name,
            label=decision.label,
            start_s=segment.start / SAMPLE_RATE_HZ,
            end_s=None if end is None else end / SAMPLE_RATE_HZ,
            confidence=decision.confidence,
            scores=decision.scores,
            latency_ms=self._latency_ms(),
        )

    def _latency_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._pushed_at)


class _Resampler:
    """Samples of any rate to 16 kHz, in blocks of one size, so that the cutting into chunks cannot matter."""

    def __init__(self, rate_hz: int) -> None:
        self._block = max(1, round(RESAMPLE_BLOCK_S * rate_hz))
        self._stream = (
            None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        )
        self._pending: Waveform = np.zeros(0, np.float32)

    def push(self, samples: Waveform) -> Waveform:
        """Samples in, the samples at 16 kHz that are ready."""
        if self._stream is None:
            return samples
        self._pending = np.concatenate([self._pending, samples])
        ready = len(self._pending) // self._block * self._block
        blocks, self._pending = self._pending[:ready].reshape(-1, self._block), self._pending[ready:]
        return np.concatenate([np.zeros(0, np.float32), *(self._stream.resample_chunk(block) for block in blocks)])

    def finish(self) -> Waveform:
        """The rest, at the end of the stream."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        rest: Waveform = self._stream.resample_chunk(self._pending, last=True)
        return rest
