"""Loading clips of any readable rate, channel count and format as 16 kHz mono float32."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.checks import check_samples, check_waveform
from metaser.runtime.audio.distortion import Distortion
from metaser.runtime.audio.file import AudioFile
from metaser.runtime.audio.interleaved import REPEATS, repeats
from metaser.runtime.audio.offset import without_offset
from metaser.runtime.audio.resampler import resample
from metaser.runtime.audio.samples import as_samples, check_rate
from metaser.runtime.errors import AudioError, InputWarning

MAX_CLIP_S = 600.0
"""A longer clip is a recording: it is streamed, not enrolled or classified."""


@dataclass(frozen=True, eq=False)
class LoadedAudio:
    """A clip, and the notices from reading it or converting its samples."""

    waveform: Waveform
    """[T] at 16 kHz."""

    notices: tuple[str, ...] = ()
    """Faults that did not prevent reading it, one line per fault, without the name of the file or array."""


def load_audio(path: str | Path, *, max_s: float = MAX_CLIP_S) -> Waveform:
    """Read a clip as float32 [T] at 16 kHz, one channel, samples in [-1, 1].

    The channels are averaged; if they cancel each other, the loudest is used. A constant offset is removed. A truncated
    or unfinished file is read as far as possible, with an InputWarning.

    Parameters:
        max_s: the longest accepted clip, in seconds.

    Raises:
        NotFoundError: there is no such file.
        AudioError: `path` is not a path, or the clip cannot be read, is empty, longer than `max_s`, silent, clipped or
            holds NaN.
        InputError: `max_s` is not a number above 0.
    """
    loaded = read_audio(path, max_s=max_s)
    _warn(Path(path).name, loaded.notices)
    return loaded.waveform


def read_audio(path: str | Path, *, max_s: float = MAX_CLIP_S) -> LoadedAudio:
    """Read a clip as `load_audio` does, and return notices instead of issuing warnings.

    Raises:
        NotFoundError, AudioError: as `load_audio`.
    """
    check(max_s=max_s)
    file = AudioFile(path)
    blocks = []
    for block in file.blocks():
        if file.samples > max_s * file.rate_hz:
            raise AudioError(
                f"{file.name} is longer than {max_s:g} s: cut it, or label a recording with `metaser stream FILE`"
            )
        blocks.append(block)
    return as_clip(file, blocks)


def as_clip(file: AudioFile, blocks: Sequence[Waveform]) -> LoadedAudio:
    """Check and convert all blocks of a file, which has been read to its end.

    Raises:
        AudioError: the clip is empty, silent or clipped.
    """
    if not file.samples:
        raise AudioError(f"{file.name} holds no samples: record it again")
    file.distortion.check(file.name)
    waveform = without_offset(np.concatenate(list(resample(blocks, file.rate_hz, SAMPLE_RATE_HZ))))
    check_waveform(waveform, file.name)
    return LoadedAudio(waveform, tuple(file.notices))


def read_blocks(path: str | Path) -> Iterator[tuple[Waveform, int]]:
    """Yield ([T] samples at the file's own rate, that rate in Hz), ten seconds at a time; the file may have any length.

    Raises:
        NotFoundError: there is no such file.
        AudioError: the file cannot be read as audio or holds NaN or infinite samples.
    """
    file = AudioFile(path)
    for block in file.blocks():
        yield block, file.rate_hz
    _warn(file.name, file.notices)


def read_array(samples: npt.ArrayLike, name: str, sample_rate_hz: int = SAMPLE_RATE_HZ) -> LoadedAudio:
    """Check and convert a clip given as an array, as `read_audio` does a file.

    Raises:
        AudioError: it is not [T] floats or int16, empty, silent, clipped, longer than 600 s, out of range or holds NaN.
        InputError: the sample rate is not a whole number above 0.
    """
    rate_hz = check_rate(sample_rate_hz)
    given = as_samples(samples, name)
    check_samples(given, name)
    if len(given) > MAX_CLIP_S * rate_hz:
        raise AudioError(f"{name} is longer than {MAX_CLIP_S:g} s: cut it, or push it into a stream")
    waveform = without_offset(at_16_khz(given, rate_hz))
    check_waveform(waveform, name)
    distortion = Distortion()
    distortion.push(given)
    distortion.check(name)
    return LoadedAudio(waveform, (f"it {REPEATS}",) if repeats(given) else ())


def at_16_khz(samples: Waveform, rate_hz: int) -> Waveform:
    """[T] at a rate -> [T'] at 16 kHz, as files are resampled."""
    if rate_hz == SAMPLE_RATE_HZ or not len(samples):
        return samples
    return np.concatenate(list(resample([samples], rate_hz, SAMPLE_RATE_HZ)))


def _warn(name: str, notices: Iterable[str]) -> None:
    for notice in notices:
        warnings.warn(f"{name}: {notice}", InputWarning, stacklevel=3)
