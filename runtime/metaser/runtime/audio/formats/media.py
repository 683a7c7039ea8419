"""Decoding what libsndfile cannot read, such as AAC, WebM, AMR or video sound tracks, by FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from metaser.runtime.errors import AudioError

if TYPE_CHECKING:
    import av


class Readable(Protocol):
    """A file that is read without seeking."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none only at the end."""


EXACT_LENGTHS = ("matroska", "mov", "flac")
"""Containers that state their true length; others estimate it from the bit rate."""

MISSING_S = 0.25
"""Tolerance: a stated length is rounded, and includes what a decoder drops at the start."""

_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
"""FFmpeg's sample formats; a final p means one plane per channel."""


def has_media() -> bool:
    """Whether PyAV is installed (the extra `media`)."""
    return find_spec("av") is not None


class MediaFile:
    """A recording that FFmpeg's libraries decode: a path, or a file that is read without seeking."""

    def __init__(self, source: Path | Readable, name: str, kind: str) -> None:
        self._source = source
        self._name = name
        self._kind = kind
        self.seconds = 0.0
        """Duration that was decoded."""

        self.missing_s = 0.0
        """Duration that the container states but that was not decoded; known at the end."""

    def duration_s(self) -> float:
        """The duration that its container states; 0 if it is unknown.

        Raises:
            AudioError: it cannot be read.
        """
        with self._opened() as container:
            return self._stated_s(container) or 0.0

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
        """Yield ([T, channels] samples, their rate in Hz), one codec frame at a time.

        Raises:
            AudioError: it cannot be read, or holds no sound.
        """
        import av

        with self._opened() as container:
            if not container.streams.audio:
                raise AudioError(f"{self._name} has no sound track: give another file")
            stated_s = self._stated_s(container) or 0.0
            for packet in container.demux(container.streams.audio[0]):
                frames: list[av.AudioFrame] = []
                with suppress(av.error.InvalidDataError):  # a damaged packet, or a tag among them
                    frames = packet.decode()
                for frame in frames:
                    self.seconds += frame.samples / frame.sample_rate
                    yield _samples(frame), frame.sample_rate
            if not self.seconds:
                raise AudioError(
                    f"{self._name} is {self._kind} and holds no sound that can be decoded: record it again"
                )
            if stated_s - self.seconds > MISSING_S:
                self.missing_s = stated_s - self.seconds

    @contextmanager
    def _opened(self) -> Iterator[av.container.InputContainer]:
        import av

        source: Any = os.fsdecode(self._source) if isinstance(self._source, Path) else self._source
        try:
            with av.open(source, metadata_errors="ignore") as container:
                yield container
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, AudioError):
                raise
            reason = getattr(error, "strerror", None) or str(error)
            if isinstance(error, av.error.PatchWelcomeError):
                reason = "its format changes on the way, or is a rare one"
            raise AudioError(
                f"{self._name} is {self._kind} and is damaged ({reason}): record or export it again"
            ) from error

    @staticmethod
    def _stated_s(container: av.container.InputContainer) -> float | None:
        import av

        if not container.duration or not container.format.name.startswith(EXACT_LENGTHS):
            return None
        return container.duration / av.time_base


def _samples(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """[T, channels] in [-1, 1]; PyAV's `to_ndarray` reads one plane too many for eight channels."""
    dtype, channels = _DTYPES[frame.format.name.removesuffix("p")], frame.layout.nb_channels
    if frame.format.is_planar:
        planes = list(frame.planes)[:channels]
        array: npt.NDArray[Any] = np.stack(
            [np.frombuffer(bytes(plane), dtype, frame.samples) for plane in planes], axis=1
        )
    else:
        array = np.frombuffer(bytes(frame.planes[0]), dtype, frame.samples * channels).reshape(-1, channels)
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / 128 - 1
    elif array.dtype.kind == "i":
        array = array.astype(np.float32) / 2.0 ** (8 * array.itemsize - 1)
    with np.errstate(over="ignore", invalid="ignore"):  # the reader reports samples that are not finite
        return np.array(array, np.float32)
