"""Encodings of samples as bytes, in raw sound and WAV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import MAX_RATE_HZ, SAMPLE_RATE_HZ
from metaser.runtime.errors import InputError
from metaser.runtime.words import counted

MAX_CHANNELS = 64

Samples: TypeAlias = npt.NDArray[np.float32]
_Decode: TypeAlias = Callable[[bytes], "npt.NDArray[np.float64] | Samples"]


def _integers(dtype: str, offset: int = 0) -> tuple[int, _Decode]:
    kind = np.dtype(dtype)
    full_scale = 2.0 ** (8 * kind.itemsize - 1)
    return kind.itemsize, lambda content: (np.frombuffer(content, kind) - float(offset)) / full_scale


def _floats(dtype: str) -> tuple[int, _Decode]:
    kind = np.dtype(dtype)
    return kind.itemsize, lambda content: np.frombuffer(content, kind)


def _three_bytes(order: str) -> tuple[int, _Decode]:
    def decode(content: bytes) -> npt.NDArray[np.float64]:
        padded = np.zeros((len(content) // 3, 4), np.uint8)
        padded[:, slice(1, 4) if order == "<" else slice(0, 3)] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return padded.view(f"{order}i4")[:, 0] / 2.0**31

    return 3, decode


def _companded(table: Samples) -> tuple[int, _Decode]:
    return 1, lambda content: table[np.frombuffer(content, np.uint8)]


def _mu_law() -> Samples:
    """[256] sample values by byte, ITU-T G.711."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32_768).astype(np.float32)


def _a_law() -> Samples:
    """[256] sample values by byte, ITU-T G.711."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    step, mantissa = (code >> 4 & 7).astype(np.int32), (code & 0x0F).astype(np.int32) << 4
    magnitude = np.where(step == 0, mantissa + 8, mantissa + 0x108 << np.maximum(step - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32_768).astype(np.float32)


FORMATS: dict[str, tuple[int, _Decode]] = {
    "u8": _integers("u1", 128),
    "s8": _integers("i1"),
    "s16le": _integers("<i2"),
    "s16be": _integers(">i2"),
    "s24le": _three_bytes("<"),
    "s24be": _three_bytes(">"),
    "s32le": _integers("<i4"),
    "s32be": _integers(">i4"),
    "f32le": _floats("<f4"),
    "f32be": _floats(">f4"),
    "f64le": _floats("<f8"),
    "f64be": _floats(">f8"),
    "mulaw": _companded(_mu_law()),
    "alaw": _companded(_a_law()),
}
"""FFmpeg's name of a sample format -> (bytes per sample, bytes to samples)."""


@dataclass(frozen=True)
class RawFormat:
    """The encoding of raw samples."""

    rate_hz: int = SAMPLE_RATE_HZ
    channels: int = 1
    sample_format: str = "s16le"

    def __post_init__(self) -> None:
        if not 0 < self.rate_hz <= MAX_RATE_HZ or not 0 < self.channels <= MAX_CHANNELS:
            raise InputError(
                f"{self.rate_hz} Hz with {counted(self.channels, 'channel')}: give a rate up to {MAX_RATE_HZ} Hz "
                f"and {MAX_CHANNELS} channels at most"
            )
        if self.sample_format not in FORMATS:
            raise InputError(f"unknown sample format {self.sample_format!r}: choose one of {', '.join(FORMATS)}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return FORMATS[self.sample_format][0] * self.channels

    def decode(self, content: bytes) -> Samples:
        """Whole frames -> [T, channels] float32."""
        values = FORMATS[self.sample_format][1](content)
        with np.errstate(over="ignore", invalid="ignore"):  # the reader reports samples that are not finite
            samples: Samples = values.astype(np.float32).reshape(-1, self.channels)
        return samples
