"""`--record DIR`: the audio that was heard, its labels, and every labelled segment as a clip for enrolment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

if TYPE_CHECKING:
    from metaser.cli.recording import Heard, View
    from metaser.runtime import StreamEvent
    from metaser.runtime.ring import Chunk

BLOCK_SAMPLES = 65_536


class Keeper:
    """Stands between a source and a view: `chunks` pass through it and are kept, and so do events.

    DIR/heard-DATE.wav, DIR/heard-DATE.txt (an Audacity label track), DIR/LABEL/heard-DATE-SECOND.wav
    """

    def __init__(self, folder: Path, view: View) -> None:
        from metaser.runtime.files import open_new
        from metaser.runtime.os_errors import cannot_write

        self._folder = folder
        self._view = view
        self._name = time.strftime("heard-%Y%m%d-%H%M%S")
        self._audio: soundfile.SoundFile | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._labels = open_new(folder / f"{self._name}.txt")
        except OSError as error:
            raise cannot_write(f"recordings into {folder}", error) from error

    def chunks(self, source: Iterable[Chunk]) -> Iterator[Chunk]:
        """Keep what passes."""
        from metaser.runtime.files import emptied

        for chunk in source:
            if len(chunk.samples):
                if self._audio is None:
                    path = self._folder / f"{self._name}.wav"
                    self._audio = soundfile.SoundFile(os.fsencode(emptied(path)), "w+", chunk.rate_hz, 1, "PCM_16")
                self._audio.seek(0, soundfile.SEEK_END)
                self._audio.write(chunk.samples)
            yield chunk

    def hear(self, event: StreamEvent) -> None:
        """Keep the segment where it is over, pass the event on."""
        if event.event == "leave" and event.end_s is not None and self._audio is not None:
            line = f"{event.start_s:.6f}\t{event.end_s:.6f}\t{event.label or 'unknown'}\n"
            self._labels.write(line.encode(errors="backslashreplace"))
            self._labels.flush()
            if event.label is not None:
                self._cut(event.label, event.start_s, event.end_s)
        self._view.hear(event)

    def tick(self, heard: Heard) -> None:
        """Pass it on."""
        self._view.tick(heard)

    def close(self) -> None:
        """Finish the files."""
        self._labels.close()
        if self._audio is not None:
            self._audio.close()

    def _cut(self, label: str, start_s: float, end_s: float) -> None:
        from metaser.runtime.files import replacing

        assert self._audio is not None
        rate_hz = self._audio.samplerate
        left = round((end_s - start_s) * rate_hz)
        folder = self._folder / label
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{self._name}-{start_s:09.2f}.wav"
        self._audio.seek(round(start_s * rate_hz))
        with replacing(path) as file, soundfile.SoundFile(file, "w", rate_hz, 1, "PCM_16", format="WAV") as clip:
            while left > 0 and len(block := self._audio.read(min(left, BLOCK_SAMPLES), dtype="float32")):
                clip.write(block)
                left -= len(block)
