"""`--record DIR`: chunks and events are saved while they pass from a source to a view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaser.cli.streaming.playback import Heard, View
    from metaser.runtime import StreamEvent
    from metaser.runtime.audio.ring import Chunk
    from metaser.runtime.stream.recording import Recording


class StreamRecorder:
    """A view before another one."""

    def __init__(self, recording: Recording, view: View) -> None:
        self._recording = recording
        self._view = view

    def chunks(self, source: Iterable[Chunk]) -> Iterator[Chunk]:
        """Save the chunks and pass them on."""
        for chunk in source:
            self._recording.push(chunk.samples, chunk.rate_hz)
            yield chunk

    def on_event(self, event: StreamEvent) -> None:
        """Save a finished segment, and pass the event on."""
        self._recording.on_event(event)
        self._view.on_event(event)

    def refresh(self, heard: Heard) -> None:
        """Pass the state on to the view."""
        self._view.refresh(heard)

    def close(self) -> None:
        """Close the files."""
        self._recording.close()
