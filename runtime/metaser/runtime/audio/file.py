"""A recording of any length and format, read block by block as one channel."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import soundfile

from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.checks import OUT_OF_RANGE_PEAK
from metaser.runtime.audio.distortion import Distortion
from metaser.runtime.audio.formats.kind import HEAD_BYTES, format_of
from metaser.runtime.audio.formats.media import MediaFile, has_media
from metaser.runtime.audio.formats.ogg import ogg_parts
from metaser.runtime.audio.formats.part import Part
from metaser.runtime.audio.formats.parts import READERS, other_recording, parts_of
from metaser.runtime.audio.one_channel import Blocks, OneChannel
from metaser.runtime.audio.ring import Chunk
from metaser.runtime.errors import AudioError, NotFoundError
from metaser.runtime.system.file_bytes import FileBytes, PiecedFile
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.quiet_stderr import quiet_stderr
from metaser.runtime.system.unnamed_file import unnamed_file

READ_BLOCK_S = 10.0
MAX_PIPE_BYTES, COPY_BYTES = 1 << 29, 1 << 20
CODECS = ("MP1", "MP2", "MP3", "Ogg Opus", "Ogg Vorbis")
OTHER_CODEC = ("unsupported encoding", "unimplemented format", "Malformed 'fmt ' chunk")
"""libsndfile's messages for a WAV or CAF file with AAC or a similar codec."""

TELL_S = 0.1
"""Missing audio is reported from here on: many files lack less than this at their end."""


WANTED = "a path; samples in memory, for example of soundfile.read, go to Engine.classify with their sample_rate_hz"


class AudioFile:
    """An audio file: iterate over its blocks once, then read `notices`."""

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self.path = given_path(path, "the clip", AudioError, WANTED)
        self.name = name or self.path.name
        self._mixed = OneChannel(self.name)
        self.notices: list[str] = []
        """Faults of the file that did not prevent reading it, one line per fault, without the file's name."""

    @property
    def rate_hz(self) -> int:
        """The rate of its blocks; known after the first block."""
        return self._mixed.rate_hz

    @property
    def samples(self) -> int:
        """Number of samples that were read, of one channel at `rate_hz`."""
        return self._mixed.samples

    @property
    def distortion(self) -> Distortion:
        """Of all channels that were read."""
        return self._mixed.distortion

    def blocks(self) -> Iterator[Waveform]:
        """Yield [T] samples in [-1, 1] at `rate_hz`, about ten seconds at a time.

        Raises:
            NotFoundError: there is no such file.
            AudioError: it cannot be read as audio, or holds NaN or samples far out of [-1, 1].
        """
        with _regular(self.path) as path:
            yield from self._mixed.mix(self._whole(path))
        if self._mixed.notice:
            self.notices.append(self._mixed.notice)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the samples of `blocks` in pieces of at most 0.1 s.

        Raises:
            NotFoundError, AudioError: as `blocks`.
        """
        return self._mixed.chunks(self.blocks())

    def duration_s(self) -> float:
        """Duration of the recording, without decoding it; 0 if it is unknown or the file cannot be read."""
        try:
            with _regular(self.path) as path, _opened(path) as file:
                kind = format_of(file.at(0, HEAD_BYTES))
                if self._needs_media(kind):
                    return MediaFile(path, self.name, kind or "").duration_s()
                total_s = 0.0
                for part in parts_of(file, kind):
                    with _open_part(path, file, part) as sound:
                        total_s += sound.frames / sound.samplerate
                return total_s
        except (soundfile.LibsndfileError, AudioError, NotFoundError):
            return 0.0

    @staticmethod
    def _needs_media(kind: str | None) -> bool:
        return kind is not None and kind not in READERS and has_media()

    def _whole(self, path: Path) -> Blocks:
        """The decoded samples, checked, as a damaged frame of a codec can decode to anything."""
        with _opened(path) as file:
            kind = format_of(file.at(0, HEAD_BYTES))
            for block, rate_hz in self._decoded(path, file, kind):
                if kind in CODECS and not (np.abs(block) <= OUT_OF_RANGE_PEAK).all():
                    raise self._refusal(kind, "it decodes to noise")
                yield block, rate_hz

    def _decoded(self, path: Path, file: FileBytes, kind: str | None) -> Blocks:
        if self._needs_media(kind):
            yield from self._by_ffmpeg(path, kind or "")
            return
        try:
            yield from self._by_libsndfile(path, file, kind)
        except _NotOpenedError as error:
            if kind in READERS and not has_media() and any(words in error.reason for words in OTHER_CODEC):
                raise self._not_here(f"{kind} with an unsupported codec") from error
            if kind is None or not has_media():
                raise self._refusal(kind, error.reason) from error
            try:
                yield from self._by_ffmpeg(path, kind)
            except AudioError:
                raise self._refusal(kind, error.reason) from error

    def _by_ffmpeg(self, path: Path, kind: str) -> Blocks:
        media = MediaFile(path, self.name, kind)
        yield from media.blocks()
        if media.missing_s:
            self.notices.append(cut_notice(media.seconds, media.missing_s))
        elif kind.startswith("Ogg"):
            self.notices += structure_notices(path, kind, media.seconds)

    def _by_libsndfile(self, path: Path, file: FileBytes, kind: str | None) -> Blocks:
        seconds = missing_s = lost_s = 0.0
        is_cut = is_damaged = is_unfinished = False
        for number, part in enumerate(parts_of(file, kind)):
            try:
                sound = _open_part(path, file, part)
            except soundfile.LibsndfileError as error:
                if number:
                    raise self._refusal(kind, error.error_string) from error
                raise _NotOpenedError(error.error_string) from error
            with sound:
                left, size = sound.frames, max(1, int(READ_BLOCK_S * sound.samplerate))
                try:
                    while len(block := _next_block(sound, min(size, left))):
                        left -= len(block)
                        yield block, sound.samplerate
                except soundfile.LibsndfileError as error:
                    raise self._refusal(kind, error.error_string) from error
            part_s = (sound.frames - left) / sound.samplerate
            seconds += part_s
            lost_s += left / sound.samplerate
            missing_s += part.missing * part_s
            is_cut, is_unfinished = is_cut or part.is_cut, is_unfinished or part.is_unfinished
            is_damaged = is_damaged or part.is_damaged
        if other := other_recording(file, kind):
            self.notices.append(joined_notice(other))
        if is_unfinished:
            self.notices.append(
                f"its header states no length, as if the recorder was stopped: all {seconds:.1f} s were read"
            )
        if lost_s >= TELL_S:
            self.notices.append(f"it is damaged: {seconds:.1f} s were read and {lost_s:.1f} s cannot be decoded")
        elif is_damaged:
            self.notices.append(gap_notice(seconds))
        if missing_s >= TELL_S:
            self.notices.append(cut_notice(seconds, missing_s))
        elif is_cut:
            self.notices.append(end_notice(seconds))

    def _refusal(self, kind: str | None, reason: str) -> AudioError:
        """The error for a file that cannot be read."""
        if self.path.suffix.lower() in (".raw", ".pcm"):
            return AudioError(
                f"{self.name} has no header that states its rate: convert it to WAV or FLAC, "
                "or stream it with `metaser stream - --rate HZ`"
            )
        if kind is None:
            return AudioError(f"{self.name} cannot be read as audio ({reason.rstrip('.')}): convert it to WAV or FLAC")
        if kind in READERS:
            return AudioError(f"{self.name} is {kind} and is damaged ({reason.rstrip('.')}): record or export it again")
        return self._not_here(kind)

    def _not_here(self, kind: str) -> AudioError:
        return AudioError(
            f"{self.name} is {kind}: install the decoder, pip install 'metaser[media]', or convert it "
            f"(ffmpeg -i {self.name} clip.wav)"
        )


def structure_notices(path: Path, kind: str, seconds: float) -> list[str]:
    """The notices for parts that are missing in a file of MPEG audio or Ogg, of which these seconds were decoded."""
    with _opened(path) as file:
        parts = ogg_parts(file) if kind.startswith("Ogg") else parts_of(file, kind)
        other = other_recording(file, kind) if kind in READERS else None
    if other:
        return [joined_notice(other)]
    missing_s = seconds * sum(part.missing for part in parts) / max(1, len(parts))
    if any(part.is_damaged for part in parts):
        return [gap_notice(seconds)]
    if missing_s >= TELL_S:
        return [cut_notice(seconds, missing_s)]
    return [end_notice(seconds)] if any(part.is_cut for part in parts) else []


def joined_notice(other: str) -> str:
    """The notice for a file in which a recording in another format follows."""
    return f"it also holds a recording in another format, {other}, which is not read: split the file"


def gap_notice(seconds: float) -> str:
    """The notice for a recording with a gap of unknown length."""
    return f"it is damaged: {seconds:.1f} s were read, parts in it are missing, and times after them are too early"


def end_notice(seconds: float) -> str:
    """The notice for a recording whose end is missing, by an unknown amount."""
    return f"it is cut off, its end is missing: {seconds:.1f} s were read"


def cut_notice(seconds: float, missing_s: float) -> str:
    """The notice for a recording of which a part is missing."""
    return f"it is cut off: {seconds:.1f} s were read and {missing_s:.1f} s are missing"


class _NotOpenedError(Exception):
    """libsndfile cannot open a file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Sound(soundfile.SoundFile):  # type: ignore[misc]
    """A file read without seeking: soundfile seeks after each block, which repeats sound of a damaged file."""

    def seekable(self) -> bool:
        """No."""
        return False


def _next_block(sound: _Sound, size: int) -> npt.NDArray[np.float32]:
    """[T, channels]; T is 0 at the end."""
    with quiet_stderr() if sound.subtype.startswith("MPEG") else nullcontext():  # libmpg123 writes to it
        return sound.read(size, dtype="float32", always_2d=True)


def _open_part(path: Path, file: FileBytes, part: Part) -> _Sound:
    with quiet_stderr():
        if not part.pieces and path.suffix.lower() != ".raw":  # soundfile reads .raw files as samples without a header
            return _Sound(os.fsencode(path))  # as text, names that are not UTF-8 are refused
        return _Sound(PiecedFile(file, part.pieces or ((0, file.size),)))


@contextmanager
def _regular(path: Path) -> Iterator[Path]:
    """Yield the file itself, or a copy of a pipe's content.

    Raises:
        NotFoundError: there is no such file.
        AudioError: it is a folder or a device, is empty, or may not be read.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a zero byte in the name
        raise NotFoundError(f"no such file: {path}") from error
    except OSError as error:
        raise _not_readable(path, error) from error
    if stat.S_ISDIR(mode):
        raise AudioError(f"{path} is a folder: give the files in it")
    if stat.S_ISFIFO(mode):
        with unnamed_file() as (copy, place):
            _copy_pipe(path, copy)
            yield place
        return
    if not stat.S_ISREG(mode):
        raise AudioError(f"{path} is a device or a socket: give a file or a pipe")
    if path.stat().st_size == 0:
        raise AudioError(f"{path.name} is an empty file: record it again")
    yield path


def _opened(path: Path) -> FileBytes:
    try:
        return FileBytes(path)
    except OSError as error:
        raise _not_readable(path, error) from error


def _copy_pipe(path: Path, copy: IO[bytes]) -> None:
    left = MAX_PIPE_BYTES
    try:
        with path.open("rb") as pipe:
            while left > 0 and (content := pipe.read(min(left, COPY_BYTES))):
                copy.write(content)
                left -= len(content)
        copy.flush()
    except OSError as error:
        raise _not_readable(path, error) from error
    if left == MAX_PIPE_BYTES:
        raise AudioError(f"{path} is an empty pipe: is the program that writes to it running?")
    if left <= 0:
        raise AudioError(f"{path} holds more than {MAX_PIPE_BYTES >> 20} MB: use `metaser stream` instead")


def _not_readable(path: Path, error: OSError) -> AudioError:
    return AudioError(f"{path.name} cannot be read ({error.strerror}): check its permissions and its disk")
