"""Playing a recording into a stream, in pieces short enough to keep the labels lively."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from metaser.cli.spans import Span

if TYPE_CHECKING:
    from metaser.runtime import AudioError, Stream, StreamEvent
    from metaser.runtime.arrays import Waveform

CHUNK_S = 0.1


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

    error: AudioError | None = None
    """What is wrong with the rest of the recording; what came before it was heard."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of recording."""
        return self.busy_s / self.duration_s if self.duration_s else 0.0

    def take(self, event: StreamEvent) -> None:
        """Keep the label where one is over."""
        if event.event == "leave":
            assert event.end_s is not None
            self.spans.append(Span(event.label, event.start_s, event.end_s, event.confidence))


class View(Protocol):
    """What shows a stream: live, as lines or as JSON."""

    def hear(self, event: StreamEvent) -> None:
        """Take an event of the stream."""

    def tick(self, heard: Heard) -> None:
        """Some more of the recording was heard."""


def play(path: Path, open_stream: Callable[[int], Stream], view: View, *, realtime: bool = False) -> Heard:
    """Push a recording into the stream that `open_stream` opens for its rate; Ctrl-C ends it early.

    Raises:
        NotFoundError: there is no such file.
        AudioError: the file cannot be read as audio, holds NaN, or holds no samples.
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
            view.hear(event)

    with _interruptible() as interrupted:
        try:
            for chunk, rate_hz in _chunks(path):
                stream = stream or open_stream(rate_hz)
                work(partial(stream.push, chunk))
                heard.duration_s += len(chunk) / rate_hz
                heard.in_speech = stream.in_speech
                view.tick(heard)
                if realtime:
                    time.sleep(max(0.0, began + heard.duration_s - time.monotonic()))
                heard.interrupted = interrupted()
                if heard.interrupted:
                    break
        except AudioError as error:
            if stream is None:
                raise
            heard.error = error
        if stream is None:
            raise AudioError(f"{path.name} holds no samples: record it again")
        work(stream.finish)
    return heard


def duration_of(path: Path) -> float:
    """How long a recording is by its header; 0 where that cannot be read, `play` says why."""
    import soundfile

    try:
        return float(soundfile.info(os.fsencode(path)).duration)
    except (soundfile.LibsndfileError, TypeError):  # the second for headerless files
        return 0.0


def _chunks(path: Path) -> Iterator[tuple[Waveform, int]]:
    """Mono pieces of at most 0.1 s at the file's own rate, and that rate."""
    from metaser.runtime.audio import read_blocks

    for block, rate_hz in read_blocks(path):  # [T, channels]
        mono = block.mean(axis=1)  # [T]
        size = max(1, int(CHUNK_S * rate_hz))
        for start in range(0, len(mono), size):
            yield mono[start : start + size], rate_hz


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C be asked for instead of raised, so that it never lands inside the stream's work."""
    came = False
    normal = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, normal)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, normal)
