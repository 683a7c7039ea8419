"""Raw samples into a stream: decoding, checks, one channel of several, silence for what was lost. Runs in a thread."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from metaser.runtime import Stream, StreamEvent
from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.checks import check_samples
from metaser.runtime.audio.downmix import Downmix
from metaser.runtime.audio.formats.pcm import RawFormat
from metaser.runtime.audio.raw_check import RawCheck
from metaser.runtime.errors import AudioError
from metaser.runtime.stream.recording import Recording
from metaser.runtime.words import counted
from metaser.serve.streams.inbox import Taken

SILENCE_S = 10.0
"""Lost audio is replaced in parts of this length, so that a long gap needs no memory."""


class RawStream:
    """A stream of the library that takes bytes."""

    def __init__(self, stream: Stream, form: RawFormat, recording: Recording | None, *, live: bool) -> None:
        self._stream, self._form, self._live = stream, form, live
        self._recording = recording
        self._downmix = Downmix(form.rate_hz, form.channels)
        self._check = RawCheck(form)
        self._lost_frames = 0
        self.frames = 0
        """Frames received, without those that were lost."""

    @property
    def lost_s(self) -> float:
        """Audio lost so far."""
        return self._lost_frames / self._form.rate_hz

    def push(self, taken: Taken) -> list[StreamEvent]:
        """The events of what has arrived.

        Raises:
            AudioError: the samples are not in the stated format, or not finite or far out of [-1, 1].
            WorkError: the recording cannot be written.
        """
        heard_at = taken.heard_at if self._live else None
        waited_s = time.perf_counter() - taken.waiting_since
        events = list(self._silence(taken.lost_frames, heard_at, waited_s))
        samples = self._form.decode(taken.content)  # [T, channels]
        self._check_format(taken.content, samples)
        self.frames += len(samples)
        return events + self._hear(self._downmix.push(samples), heard_at, waited_s)

    def finish(self) -> tuple[list[StreamEvent], list[str]]:
        """The events of the rest, and why the labels of the stream may mean little.

        Raises:
            WorkError: the recording cannot be written.
        """
        events = self._hear(self._downmix.finish(), None, 0.0)
        events += self._recorded(self._stream.finish())
        return events, [*([self._downmix.notice] if self._downmix.notice else []), *self._stream.doubts]

    def close(self) -> None:
        """Close the recording."""
        if self._recording is not None:
            self._recording.close()

    def _hear(self, mono: Waveform, heard_at: float | None, waited_s: float) -> list[StreamEvent]:
        if self._recording is not None:
            self._recording.push(mono, self._form.rate_hz)
        return self._recorded(
            self._stream.push(mono, heard_at=heard_at, dropped_ms=1000 * self.lost_s, waited_s=waited_s)
        )

    def _recorded(self, events: list[StreamEvent]) -> list[StreamEvent]:
        if self._recording is not None:
            for event in events:
                self._recording.on_event(event)
        return events

    def _silence(self, frames: int, heard_at: float | None, waited_s: float) -> Iterator[StreamEvent]:
        most = round(SILENCE_S * self._form.rate_hz)
        while frames:
            part = min(frames, most)
            frames -= part
            self._lost_frames += part
            silence = self._downmix.push(np.zeros((part, self._form.channels), np.float32))
            yield from self._hear(silence, heard_at, waited_s)

    def _check_format(self, content: bytes, samples: np.ndarray) -> None:
        better = self._check.better_format(content)
        if better and better.channels != self._form.channels:
            raise AudioError(
                f"the samples look like {counted(better.channels, 'channel')} and are read as {self._form.channels}: "
                f'start with "channels": {better.channels}'
            )
        if better:
            raise AudioError(
                f"the samples look like {better.sample_format} and are read as {self._form.sample_format}: start with "
                f'"format": "{better.sample_format}"'
            )
        check_samples(samples, "a message")
        if self._check.is_stereo(samples):
            raise AudioError('the stream repeats each sample: start with "channels": 2 if it is stereo')
