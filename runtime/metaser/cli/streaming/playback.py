"""Playing a source into a stream, in pieces short enough to keep the labels lively."""

from __future__ import annotations

import signal
import time
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
    """What was made of a recording so far."""

    spans: list[Span] = field(default_factory=list)
    """Labels that are over, in order of time."""

    duration_s: float = 0.0
    """How much of the recording was heard."""

    busy_s: float = 0.0
    """Time spent on it, waiting and drawing excluded."""

    in_speech: bool = False
    """Somebody speaks at this moment."""

    interrupted: bool = False
    """Ctrl-C ended it before its end."""

    pipe_closed: bool = False
    """Nobody reads our output any more."""

    level_dbfs: float = -100.0
    """The newest chunk's peak."""

    latency_ms: float = 0.0
    """Of the newest label."""

    dropped_ms: float = 0.0
    """Audio lost so far."""

    hop_s: float = 0.0
    """Time between two windows at this moment."""

    error: AudioError | None = None
    """What is wrong with the rest of the recording; what came before it was heard."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of recording."""
        return self.busy_s / self.duration_s if self.duration_s else 0.0

    def take(self, event: StreamEvent) -> None:
        """Keep the label where one is over."""
        if event.event in ("enter", "update"):
            self.latency_ms = event.latency_ms
        if event.event == "leave":
            assert event.end_s is not None
            self.spans.append(Span(event.label, event.start_s, event.end_s, event.confidence))


class View(Protocol):
    """What shows a stream: live, as lines or as JSON."""

    def on_event(self, event: StreamEvent) -> None:
        """Take an event of the stream."""

    def refresh(self, heard: Heard) -> None:
        """Some more of the recording was heard."""


def play(
    chunks: Iterable[Chunk], name: str, open_stream: Callable[[int], Stream], view: View, *, realtime: bool = False
) -> Heard:
    """Push a source's chunks into the stream that `open_stream` opens for its rate; Ctrl-C or a closed pipe ends it.

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
                work(stream.finish)
        except AudioError as error:
            if stream is None:
                raise
            heard.error = error
            work(stream.finish)
        except BrokenPipeError:
            heard.pipe_closed = True
    if stream is None and not heard.interrupted:
        raise AudioError(f"{name} holds no samples: record it again")
    return heard
