"""Push a source into a stream in chunks, and pass its events to a view."""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from metaser.cli.view.levels import level_dbfs
from metaser.cli.view.spans import Span
from metaser.runtime.system.interrupts import interrupts_as_requests

if TYPE_CHECKING:
    from metaser.runtime import AudioError, Stream, StreamEvent
    from metaser.runtime.audio.ring import Chunk


@dataclass
class Heard:
    """The results of a stream so far."""

    spans: list[Span] = field(default_factory=list)
    """Finished segments, in order of time."""

    duration_s: float = 0.0
    """Duration of the audio that was processed."""

    busy_s: float = 0.0
    """Computation time, without waiting and drawing."""

    in_speech: bool = False
    """Whether there is speech at the moment."""

    interrupted: bool = False
    """Whether Ctrl-C ended the stream."""

    pipe_closed: bool = False
    """Whether the reader of our output closed its pipe."""

    level_dbfs: float = -100.0
    """Peak level of the newest chunk."""

    latency_ms: float = 0.0
    """Latency of the newest label."""

    dropped_ms: float = 0.0
    """Audio lost so far."""

    hop_s: float = 0.0
    """Current time between two windows."""

    notices: list[str] = field(default_factory=list)
    """Why the labels of the whole stream may mean little; complete at its end."""

    error: AudioError | None = None
    """The error that ended the stream early; audio before it was processed."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of computation per second of audio."""
        return self.busy_s / self.duration_s if self.duration_s else 0.0

    def take(self, event: StreamEvent) -> None:
        """Store the latency of a label, or the segment that has ended."""
        if event.event in ("enter", "update"):
            self.latency_ms = event.latency_ms
        if event.event == "leave":
            assert event.end_s is not None
            self.spans.append(Span(event.label, event.start_s, event.end_s, event.confidence))


class View(Protocol):
    """Shows a stream: live, as lines or as JSON."""

    def on_event(self, event: StreamEvent) -> None:
        """Show an event of the stream."""

    def refresh(self, heard: Heard) -> None:
        """Show the current state; called after each chunk."""


def play(
    chunks: Iterable[Chunk], name: str, open_stream: Callable[[int], Stream], view: View, *, realtime: bool = False
) -> Heard:
    """Push a source's chunks into the stream that `open_stream` opens for their rate; Ctrl-C or a closed pipe ends it.

    Raises:
        NotFoundError: there is no such file.
        AudioError: the source cannot be read as audio, holds NaN, or holds no samples.
    """
    from metaser.runtime import AudioError

    heard = Heard()
    stream: Stream | None = None
    began = time.monotonic()

    def work(push: Callable[[], list[StreamEvent]]) -> None:
        before = time.perf_counter()
        events = push()
        heard.busy_s += time.perf_counter() - before
        for event in events:
            heard.take(event)
            view.on_event(event)

    with interrupts_as_requests(signal.SIGINT, signal.SIGTERM) as interrupted:
        try:
            for chunk in chunks:
                if len(chunk.samples):
                    stream = stream or open_stream(chunk.rate_hz)
                    heard.level_dbfs = level_dbfs(chunk.samples)
                    heard.dropped_ms = chunk.dropped_ms
                    work(partial(stream.push, chunk.samples, heard_at=chunk.heard_at, dropped_ms=chunk.dropped_ms))
                    heard.duration_s += len(chunk.samples) / chunk.rate_hz
                    heard.in_speech, heard.hop_s = stream.in_speech, stream.hop_s
                view.refresh(heard)
                if realtime:
                    time.sleep(max(0.0, began + heard.duration_s - time.monotonic()))
                heard.interrupted = interrupted()
                if heard.interrupted:
                    break
            if stream:
                heard.notices += _finish(stream, work)
        except AudioError as error:
            if stream is None:
                raise
            heard.error = error
            heard.notices += _finish(stream, work)
        except BrokenPipeError:
            heard.pipe_closed = True
    if stream is None and not heard.interrupted:
        raise AudioError(f"{name} holds no samples: record it again")
    return heard


def _finish(stream: Stream, work: Callable[[Callable[[], list[StreamEvent]]], None]) -> list[str]:
    """Finish the stream; what it warns about is returned instead."""
    from metaser.runtime import InputWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        work(stream.finish)
    return [str(each.message).removeprefix("the stream: ") for each in caught if each.category is InputWarning]
