"""The recording of a stream: its audio, its labels, and each labelled segment as a clip for enrolment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

import soundfile

from metaser.runtime.arrays import Waveform
from metaser.runtime.enrolment.labels import UNKNOWN, on_disk, safe_name
from metaser.runtime.errors import MetaserError, WorkError
from metaser.runtime.stream.event import StreamEvent
from metaser.runtime.system.files import emptied, open_new, replacing
from metaser.runtime.system.os_errors import cannot_write
from metaser.runtime.words import plain

BLOCK_SAMPLES = 65_536


class Recording:
    """The files of one stream in a folder, for their owner alone.

    heard-DATE.wav                  the audio
    heard-DATE.txt                  an Audacity label track
    LABEL/heard-DATE-SECOND.wav     each segment

    A label that cannot be a folder name, for example in a profile from somebody else, is replaced by a safe name.

    Raises:
        WorkError: a file cannot be written; `push`, `on_event` and `close` raise it too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._audio: soundfile.SoundFile | None = None
        with self._writing():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._name, self._labels = self._begin()

    def push(self, samples: Waveform, rate_hz: int) -> None:
        """Save samples [T], all at the same rate."""
        if not len(samples):
            return
        with self._writing():
            if self._audio is None:
                path = self._folder / f"{self._name}.wav"
                self._audio = soundfile.SoundFile(os.fsencode(emptied(path)), "w+", rate_hz, 1, "PCM_16")
            self._audio.seek(0, soundfile.SEEK_END)
            self._audio.write(samples)

    def on_event(self, event: StreamEvent) -> None:
        """Save a segment that has ended."""
        if event.event == "leave" and event.end_s is not None and self._audio is not None:
            with self._writing():
                self._labels.write(track_line(event).encode(errors="backslashreplace"))
                self._labels.flush()
                if event.label is not None:
                    self._cut(self._audio, event.label, event.start_s, event.end_s)

    def close(self) -> None:
        """Close the files."""
        with self._writing():
            self._labels.close()
            if self._audio is not None:
                self._audio.close()

    def _begin(self) -> tuple[str, BinaryIO]:
        """A free name, and its open label track; another stream may have started in the same second."""
        name = time.strftime("heard-%Y%m%d-%H%M%S")
        for number in count(1):
            free = name if number == 1 else f"{name}-{number}"
            with suppress(FileExistsError):
                return free, open_new(self._folder / f"{free}.txt")
        raise AssertionError("unreachable")

    @contextmanager
    def _writing(self) -> Iterator[None]:
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


def track_line(event: StreamEvent) -> str:
    """A finished segment as a line of an Audacity label track."""
    return f"{event.start_s:.6f}\t{event.end_s:.6f}\t{plain(UNKNOWN if event.label is None else event.label)}\n"
