"""Reading clips: every rate, channel count and format libsndfile knows, to 16 kHz mono float32."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.errors import AudioError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_CLIP_S = 600.0
"""A longer clip is a recording: it is streamed, not enrolled or classified."""

SILENT_PEAK = 1e-3
"""-60 dBFS: a clip that never gets louder holds no speech."""

FULL_SCALE = 0.999
CLIPPED_SHARE = 0.01
"""A clip with more than this share of its samples at full scale is distorted."""

OUT_OF_RANGE_PEAK = 2.0
"""Float files may overshoot 1 a little; beyond this they are not scaled to [-1, 1]."""

READ_BLOCK_S = 10.0


def load_audio(path: str | Path, *, max_s: float = MAX_CLIP_S) -> Waveform:
    """Read a clip as float32 [T] at 16 kHz, channels averaged, samples in [-1, 1].

    Raises:
        NotFoundError: there is no such file.
        AudioError: the clip cannot be read, is empty, longer than `max_s`, silent, clipped or holds NaN.
    """
    path = Path(path)
    blocks = []
    samples = clipped = 0
    for block, rate_hz in read_blocks(path):
        samples += len(block)
        if samples > max_s * rate_hz:
            raise AudioError(
                f"{path.name} is longer than {max_s:g} s: cut it, or label a recording with `metaser stream FILE`"
            )
        clipped += count_clipped(block)
        blocks.append(block.mean(axis=1) if block.shape[1] > 1 else block[:, 0])
    if not samples:
        raise AudioError(f"{path.name} holds no samples: record it again")
    channels = block.shape[1]
    check_clipping(clipped / (samples * channels), path.name)
    waveform = np.concatenate(list(resample(blocks, rate_hz)))
    check_waveform(waveform, path.name)
    return waveform


def read_blocks(path: str | Path) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
    """Yield ([block, channels] samples at the file's own rate, that rate in Hz), ten seconds at a time.

    Raises:
        NotFoundError: there is no such file.
        AudioError: the file cannot be read as audio or holds NaN or infinite samples.
    """
    path = Path(path)
    if path.is_dir():
        raise AudioError(f"{path} is a folder: give the files in it")
    if not path.is_file():
        raise NotFoundError(f"no such file: {path}")
    if path.stat().st_size == 0:
        raise AudioError(f"{path.name} is an empty file: record it again")
    if path.suffix.lower() == ".raw":  # libsndfile wants to be told its rate
        raise AudioError(
            f"{path.name} has no header that tells its rate: convert it to WAV or FLAC, "
            "or stream it with `metaser stream - --rate HZ`"
        )
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:  # as text, names that are not UTF-8 are refused
            for block in file.blocks(int(READ_BLOCK_S * file.samplerate), dtype="float32", always_2d=True):
                check_samples(block, path.name)
                yield block, file.samplerate
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path.name} cannot be read as audio ({error.error_string.rstrip('.')}): convert it to WAV or FLAC"
        ) from error


def resample(blocks: Iterable[npt.NDArray[np.float32]], rate_hz: int) -> Iterator[Waveform]:
    """Yield mono blocks at `rate_hz` as blocks at 16 kHz; together they equal one resampling of the whole."""
    if rate_hz == SAMPLE_RATE_HZ:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def check_samples(samples: npt.NDArray[np.float32], name: str) -> None:
    """Raise AudioError where samples are not finite or not scaled to [-1, 1]."""
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds NaN or infinite samples: export it again as 16-bit WAV or FLAC")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > OUT_OF_RANGE_PEAK:
        raise AudioError(f"{name} has samples up to {peak:g} and the range is [-1, 1]: scale it first")


def count_clipped(samples: npt.NDArray[np.float32]) -> int:
    """How many samples lie at full scale."""
    return int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))


def check_clipping(share: float, name: str) -> None:
    """Raise AudioError where too large a share of a clip's samples lies at full scale."""
    if share > CLIPPED_SHARE:
        raise AudioError(
            f"{name} is clipped ({share:.0%} of its samples at full scale): record it again at a lower level"
        )


def check_waveform(waveform: Waveform, name: str) -> None:
    """Raise AudioError where a clip at 16 kHz is empty or silent."""
    if not len(waveform):
        raise AudioError(f"{name} holds no samples: record it again")
    peak = float(np.abs(waveform).max())
    if peak < SILENT_PEAK:
        raise AudioError(
            f"{name} is silent (its peak is {peak:.1e}, speech needs {SILENT_PEAK:g}): "
            "check the microphone and record it again"
        )


def check_array(samples: npt.ArrayLike, name: str) -> Waveform:
    """Check a clip given as an array at 16 kHz as `load_audio` checks a file; return it as float32 [T].

    Raises:
        AudioError: it is not [T], empty, silent, clipped, longer than 600 s, out of range or holds NaN.
    """
    array = np.asarray(samples)
    if array.ndim != 1 or array.dtype.kind != "f":
        raise AudioError(f"{name} is {array.dtype} of shape {array.shape}: give float samples [T] at 16 kHz in [-1, 1]")
    waveform = np.ascontiguousarray(array, dtype=np.float32)
    check_samples(waveform, name)
    if len(waveform) > MAX_CLIP_S * SAMPLE_RATE_HZ:
        raise AudioError(f"{name} is longer than {MAX_CLIP_S:g} s: cut it, or push it into a stream")
    check_waveform(waveform, name)
    check_clipping(count_clipped(waveform) / len(waveform), name)
    return waveform
