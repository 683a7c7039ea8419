"""`--record DIR`: save the audio, its labels, and each labelled segment as a clip for enrolment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import soundfile

from metaser.cli.streaming.formats import audacity_line

if TYPE_CHECKING:
    from metaser.cli.streaming.playback import Heard, View
    from metaser.runtime import StreamEvent
    from metaser.runtime.audio.ring import Chunk

BLOCK_SAMPLES = 65_536


class StreamRecorder:
    """Records chunks and events while they pass from a source to a view.

    Writes DIR/heard-DATE.wav, DIR/heard-DATE.txt (an Audacity label track) and DIR/LABEL/heard-DATE-SECOND.wav. A label
    that cannot be a folder name, for example in a profile from somebody else, is replaced by a safe name.
    """

    def __init__(self, folder: Path, view: View) -> None:
        self._folder = folder
        self._view = view
        self._audio: soundfile.SoundFile | None = None
        with self._writing():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._name, self._labels = self._begin()

    def chunks(self, source: Iterable[Chunk]) -> Iterator[Chunk]:
        """Save the chunks and pass them on."""
        from metaser.runtime.system.files import emptied

        for chunk in source:
            if len(chunk.samples):
                with self._writing():
                    if self._audio is None:
                        path = self._folder / f"{self._name}.wav"
                        self._audio = soundfile.SoundFile(os.fsencode(emptied(path)), "w+", chunk.rate_hz, 1, "PCM_16")
                    self._audio.seek(0, soundfile.SEEK_END)
                    self._audio.write(chunk.samples)
            yield chunk

    def on_event(self, event: StreamEvent) -> None:
        """Save a finished segment, and pass the event on."""
        if event.event == "leave" and event.end_s is not None and self._audio is not None:
            with self._writing():
                self._labels.write(audacity_line(event).encode(errors="backslashreplace"))
                self._labels.flush()
                if event.label is not None:
                    self._cut(self._audio, event.label, event.start_s, event.end_s)
        self._view.on_event(event)

    def refresh(self, heard: Heard) -> None:
        """Pass the state on to the view."""
        self._view.refresh(heard)

    def close(self) -> None:
        """Close the files."""
        with self._writing():
            self._labels.close()
            if self._audio is not None:
                self._audio.close()

    def _begin(self) -> tuple[str, BinaryIO]:
        """A free name, and its open label track; another stream may have started in the same second."""
        from metaser.runtime.system.files import open_new

        name = time.strftime("heard-%Y%m%d-%H%M%S")
        for number in count(1):
            free = name if number == 1 else f"{name}-{number}"
            with suppress(FileExistsError):
                return free, open_new(self._folder / f"{free}.txt")
        raise AssertionError("unreachable")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        from metaser.runtime import MetaserError, WorkError
        from metaser.runtime.system.os_errors import cannot_write

        what = f"recordings into {self._folder}"
        try:
            yield
        except MetaserError:
            raise
        except OSError as error:
            raise cannot_write(what, error) from error
        except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts that all was written
            raise WorkError(
                f"cannot write {what}: only a part was written; free space or choose another folder"
            ) from error

    def _cut(self, audio: soundfile.SoundFile, label: str, start_s: float, end_s: float) -> None:
        from metaser.runtime.enrolment.labels import on_disk, safe_name
        from metaser.runtime.system.files import replacing

        rate_hz = audio.samplerate
        left = round((end_s - start_s) * rate_hz)
        folder = self._folder / on_disk(safe_name(label))
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{self._name}-{start_s:09.2f}.wav"
        audio.seek(round(start_s * rate_hz))
        with replacing(path) as file, soundfile.SoundFile(file, "w", rate_hz, 1, "PCM_16", format="WAV") as clip:
            while left > 0 and len(block := audio.read(min(left, BLOCK_SAMPLES), dtype="float32")):
                clip.write(block)
                left -= len(block)
