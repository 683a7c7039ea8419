"""A stream: any chunks of samples in, label events out.

samples   |512|512|512|...                      cut to Silero's chunks, for any chunk size
speech        [=================]               utterances, see voice_activity.py
windows       [------]                          the first after `min_window_s` of speech, then every hop,
              [----------]                      reaching back to the utterance's start or `window_s`
                  [---------]
events        enter   update ... leave silence

The events of a pulled stream (a file, a pipe) depend on the samples alone. A live stream skips windows that are late
and widens its hop while the model is slower than real time.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.checks import SILENT_PEAK, check_samples
from metaser.runtime.audio.distortion import Distortion
from metaser.runtime.audio.interleaved import REPEATS, RepeatCheck
from metaser.runtime.audio.offset import OffsetRemoval
from metaser.runtime.audio.pause_level import PauseLevel
from metaser.runtime.audio.quality import MIN_POWER, NOISY_DB
from metaser.runtime.audio.resampler import Resampler
from metaser.runtime.audio.samples import as_samples, check_rate
from metaser.runtime.audio.silero import SpeechDetector
from metaser.runtime.audio.trim import VERY_QUIET_DBFS
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES, Utterance, VoiceActivity
from metaser.runtime.errors import InputError, InputWarning
from metaser.runtime.scoring.decision import Calibration, Decision
from metaser.runtime.stream.event import EventKind, StreamEvent
from metaser.runtime.stream.pace import Pace
from metaser.runtime.stream.segment import Scores, Segment, SegmentRules, Window
from metaser.runtime.stream.settings import StreamSettings

NO_SPEECH_S = 5.0
"""A stream of this length in which no speech was found is doubtful."""

__all__ = ["Stream", "StreamEvent", "StreamSettings"]


class Stream:
    """The state of one stream, made by `Engine.stream`. One stream must not be used by two threads at once."""

    def __init__(  # noqa: PLR0913 # made by Engine.stream
        self,
        embed_scores: Callable[[Waveform], Scores],
        labels: tuple[str, ...],
        calibration: Calibration,
        sample_rate_hz: int,
        settings: StreamSettings,
        *,
        live: bool = False,
    ) -> None:
        self._score = embed_scores
        self._settings = settings
        self._live = live
        self._pace = Pace(settings.hop_s, settings.widest_hop_s)
        self._window = round(settings.window_s * SAMPLE_RATE_HZ)
        self._min_window = round(settings.min_window_s * SAMPLE_RATE_HZ)
        dwell_windows = max(1, round(settings.dwell_s / settings.hop_s))
        self._rules = SegmentRules(labels, calibration, dwell_windows, settings.leave_share)
        self._rate_hz = check_rate(sample_rate_hz)
        self._resampler = Resampler(self._rate_hz)
        self._offset = OffsetRemoval()
        self._detector = SpeechDetector()
        self._voice = VoiceActivity(settings.voice_activity)
        self._pending: Waveform = np.zeros(0, np.float32)  # not processed by voice activity yet
        self._probabilities: deque[float] = deque()  # of speech in the first of these chunks
        self._history: Waveform = np.zeros(0, np.float32)  # the newest samples processed by voice activity
        self._position = 0  # samples processed by voice activity
        self._heard = 0  # samples at 16 kHz, padding excluded
        self._segment: Segment | None = None
        self._next_window = 0  # sample at which the next window ends
        self._last_window = 0  # sample at which the last one ended
        self._pushed_at = 0.0
        self._waited_s = 0.0  # of the current chunk, until a window is labelled
        self._dropped_ms = 0.0
        self._loss: tuple[float, float, float] | None = None  # that continues: start, end as reported, end
        self._overload_start_s: float | None = None
        self._finished = False
        self._pushing = threading.Lock()
        self._speech = 0  # samples in utterances
        self._distortion = Distortion()
        self._peak = 0.0
        self._repeats = RepeatCheck()
        self._speech_power = 0.0  # sum of the squares of samples in utterances
        self._pauses = PauseLevel()
        history_s = settings.window_s + settings.voice_activity.hangover_s + settings.voice_activity.onset_s
        self._history_samples = round(history_s * SAMPLE_RATE_HZ) + 4 * CHUNK_SAMPLES + self._hop

    def __reduce__(self) -> NoReturn:
        """Refuse pickling and copying.

        Raises:
            InputError: always.
        """
        raise InputError("a stream can neither be pickled nor copied: open one with Engine.stream where it is needed")

    @property
    def position_s(self) -> float:
        """Seconds of audio that were processed."""
        return self._position / SAMPLE_RATE_HZ

    @property
    def hop_s(self) -> float:
        """Time between two windows; wider than requested while a live stream is overloaded."""
        return self._pace.hop_s

    @property
    def _hop(self) -> int:
        return round(self._pace.hop_s * SAMPLE_RATE_HZ)

    @property
    def in_speech(self) -> bool:
        """Whether an utterance continues at this moment."""
        return self._segment is not None

    def push(
        self, chunk: npt.ArrayLike, *, heard_at: float | None = None, dropped_ms: float = 0.0, waited_s: float = 0.0
    ) -> list[StreamEvent]:
        """Process a chunk, float samples [T] or int16 of any length at the stream's rate; return the resulting events.

        A live source passes the arrival time of the chunk's last sample (`time.perf_counter`), from which the latency
        is measured, and the audio lost so far. If the processor is shared outside of the library, it also passes how
        long the chunk waited for it: a wait of a requested hop or more, in which windows are skipped, counts as work.

        Raises:
            AudioError: not [T] float samples or int16, not finite or far out of [-1, 1]; the stream is as before.
            InputError: the stream is finished or in use by another thread, or `heard_at`, `dropped_ms` or `waited_s` is
                not a number.
        """
        check(heard_at=heard_at, dropped_ms=dropped_ms, waited_s=waited_s)
        samples = as_samples(chunk, "a chunk")
        check_samples(samples, "a chunk")
        with self._in_one_thread():
            self._waited_s = waited_s
            return self._push(samples, heard_at, dropped_ms)

    def _push(self, samples: Waveform, heard_at: float | None, dropped_ms: float) -> list[StreamEvent]:
        if self._finished:
            raise InputError("the stream is finished: open a new one with Engine.stream")
        self._distortion.push(samples)
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))
        self._repeats.push(samples)
        self._pushed_at = time.perf_counter() if heard_at is None else heard_at
        events = list(self._lost(dropped_ms))
        return events + list(self._process(self._resampler.push(samples)))

    def finish(self) -> list[StreamEvent]:
        """Process remaining samples and close the last utterance; return the resulting events.

        An InputWarning is given if the speech was clipped, very quiet or absent, or if samples were repeated.

        Raises:
            InputError: the stream is in use by another thread.
        """
        with self._in_one_thread():
            return [] if self._finished else self._finish()

    def _finish(self) -> list[StreamEvent]:
        self._pushed_at = time.perf_counter()
        events = list(self._lost(self._dropped_ms))
        events += self._process(self._resampler.finish())
        if rest := len(self._pending):
            events += self._process(np.zeros(CHUNK_SAMPLES - rest, np.float32), heard=0)
        if utterance := self._voice.close():
            events += self._close(utterance)
        self._finished = True
        for doubt in self.doubts:
            warnings.warn(f"the stream: {doubt}", InputWarning, stacklevel=3)
        return events

    @property
    def doubts(self) -> list[str]:
        """Why the labels of the stream so far may mean little, one line per reason; `finish` warns of the same."""
        return list(self._doubts())

    @contextmanager
    def _in_one_thread(self) -> Iterator[None]:
        """Raise InputError if another thread is using the stream."""
        if not self._pushing.acquire(blocking=False):
            raise InputError("another thread is using this stream: give each thread its own, with Engine.stream")
        try:
            yield
        finally:
            self._pushing.release()

    def _doubts(self) -> Iterator[str]:
        speech_s = max(self._speech / SAMPLE_RATE_HZ, 1.0)
        if fault := self._distortion.fault(speech_s * self._rate_hz):
            yield f"it {fault}, and labels may be wrong: lower the level"
        if self._repeats.repeats:
            yield f"it {REPEATS}"
        level_dbfs = 10 * np.log10(max(self._speech_power / max(self._speech, 1), MIN_POWER))
        if self._heard >= SAMPLE_RATE_HZ and self._peak < SILENT_PEAK:
            yield f"silent (its peak is {self._peak:.1e}, speech needs {SILENT_PEAK:g}): check the microphone"
        elif self._heard >= NO_SPEECH_S * SAMPLE_RATE_HZ and not self._speech:
            peak_dbfs = 20 * np.log10(self._peak)
            yield f"no speech was found in {self.position_s:.0f} s (its peak is {peak_dbfs:.0f} dBFS): check the source"
        elif self._speech and level_dbfs < VERY_QUIET_DBFS:
            yield f"its speech is very quiet ({level_dbfs:.0f} dBFS), and labels may be wrong: raise the level"
        elif self._speech and self._is_noisy():
            yield "its speech is hardly louder than its pauses, and labels may be wrong"

    def _is_noisy(self) -> bool:
        """Whether speech is less than `NOISY_DB` above the pauses, of which there is a second or more."""
        if self._pauses.duration_s < 1:
            return False
        speech, noise = self._speech_power / self._speech, self._pauses.power
        return speech - noise < noise * 10 ** (NOISY_DB / 10)

    def _lost(self, dropped_ms: float) -> Iterator[StreamEvent]:
        """Report audio lost since the last chunk: at once, and the total when a chunk without loss has arrived."""
        lost_ms, self._dropped_ms = dropped_ms - self._dropped_ms, max(dropped_ms, self._dropped_ms)
        if lost_ms > 0:
            end_s = self.position_s + lost_ms / 1000
            if self._loss is None:
                yield self._overload(self.position_s, end_s)
            start_s, told_s, _ = self._loss or (self.position_s, end_s, end_s)
            self._loss = (start_s, told_s, end_s)
        elif self._loss is not None:
            (start_s, told_s, end_s), self._loss = self._loss, None
            if end_s > told_s:
                yield self._overload(start_s, end_s)

    def _process(self, samples: Waveform, heard: int | None = None) -> Iterator[StreamEvent]:
        self._heard += len(samples) if heard is None else heard
        self._pending = np.concatenate([self._pending, samples])
        known = len(self._probabilities) * CHUNK_SAMPLES  # above 0 if the previous push ended with an error
        whole = len(self._pending) // CHUNK_SAMPLES * CHUNK_SAMPLES
        for start in range(known, whole, CHUNK_SAMPLES):
            self._pending[start : start + CHUNK_SAMPLES] = self._offset.remove(
                self._pending[start : start + CHUNK_SAMPLES]
            )
        self._probabilities.extend(self._detector.hear(self._pending[known:whole]).tolist())
        while self._probabilities:
            chunk, self._pending = self._pending[:CHUNK_SAMPLES], self._pending[CHUNK_SAMPLES:]
            self._history = np.concatenate([self._history, chunk])[-self._history_samples :]
            self._position += CHUNK_SAMPLES
            utterance = self._voice.push(self._probabilities.popleft())
            if utterance is None:
                self._pauses.add(chunk)
                continue
            self._speech += CHUNK_SAMPLES
            self._speech_power += float(chunk @ chunk)
            if utterance.end is not None:
                yield from self._close(utterance)
            else:
                yield from self._run(utterance)

    def _run(self, utterance: Utterance) -> Iterator[StreamEvent]:
        """Label the newest window of the current utterance if one is due, except in a pause."""
        if self._segment is None:
            self._segment = self._new_segment(utterance.start)
            self._next_window = utterance.start + self._min_window
            self._last_window = utterance.start
        if not utterance.quiet and self._position >= self._next_window:
            if not self._is_late():
                yield from self._label(utterance.start, self._next_window)
            while self._next_window <= self._position:
                self._next_window += self._hop

    def _is_late(self) -> bool:
        """Whether a window newer than the due one is complete: a live stream labels only the newer one."""
        return self._live and len(self._pending) >= self._hop

    def _close(self, utterance: Utterance) -> Iterator[StreamEvent]:
        """End an utterance: label the part that no window covers yet, and leave."""
        assert utterance.end is not None
        end = min(utterance.end, self._heard)
        if self._segment is None:  # it began and ended within one push
            self._segment = self._new_segment(utterance.start)
            self._last_window = utterance.start
        long_enough = end - utterance.start >= self._settings.min_utterance_s * SAMPLE_RATE_HZ
        if end > self._last_window and (long_enough or not self._segment.is_empty):
            yield from self._label(utterance.start, end)
        if not self._segment.is_empty:
            yield self._event("leave", self._segment, end, self._segment.close())
            yield StreamEvent(
                "silence", None, end / SAMPLE_RATE_HZ, None, 1.0, {}, self._latency_ms(), self._dropped_ms
            )
        self._segment = None

    def _label(self, utterance_start: int, end: int) -> Iterator[StreamEvent]:
        """Score the window that ends at `end` and yield the resulting events."""
        assert self._segment is not None
        first = self._position - len(self._history)  # the sample the history starts with
        start = max(utterance_start, end - self._window, first)
        began = time.perf_counter()
        scores = self._score(self._history[start - first : end - first])
        worked_s = time.perf_counter() - began
        if self._waited_s >= self._settings.hop_s:
            worked_s += self._waited_s
        self._waited_s = 0.0
        entering = self._segment.is_empty
        successor = self._segment.hear(Window(scores, start, self._last_window))
        self._last_window = end
        if successor is not None:
            yield self._event("leave", self._segment, successor.start)
            self._segment = successor
        yield self._event("enter" if entering or successor else "update", self._segment, None)
        if self._live and self._pace.worked(worked_s):
            yield self._changed_hop()

    def _changed_hop(self) -> StreamEvent:
        """Report that the hop is wider, since when, or that it is as requested again."""
        if self._overload_start_s is None:
            self._overload_start_s = self.position_s
        start_s = self._overload_start_s
        if self._pace.is_wide:
            return self._overload(start_s, None)
        self._overload_start_s = None
        return self._overload(start_s, self.position_s)

    def _overload(self, start_s: float, end_s: float | None) -> StreamEvent:
        return StreamEvent("overload", None, start_s, end_s, 1.0, {}, self._latency_ms(), self._dropped_ms)

    def _new_segment(self, start: int) -> Segment:
        return Segment(start, self._rules)

    def _event(
        self, name: EventKind, segment: Segment, end: int | None, decision: Decision | None = None
    ) -> StreamEvent:
        decision = decision or segment.decision
        return StreamEvent(
            event=name,
            label=decision.label,
            start_s=segment.start / SAMPLE_RATE_HZ,
            end_s=None if end is None else end / SAMPLE_RATE_HZ,
            confidence=decision.confidence,
            scores=decision.scores,
            latency_ms=self._latency_ms(),
            dropped_ms=self._dropped_ms,
        )

    def _latency_ms(self) -> float:
        waiting_s = len(self._pending) / SAMPLE_RATE_HZ if self._live else 0.0  # received after the event
        return 1000 * (time.perf_counter() - self._pushed_at + waiting_s)
