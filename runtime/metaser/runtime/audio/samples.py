"""Conversion of a caller's samples to float32 of one channel; other input is refused with the accepted forms."""

from __future__ import annotations

import os
import sys
from numbers import Real

import numpy as np

from metaser.runtime.arrays import MAX_RATE_HZ, Waveform
from metaser.runtime.errors import AudioError, InputError
from metaser.runtime.words import kind_of

WANTED = "give float samples [T] in [-1, 1], or int16"
INT16_SCALE = 32_768
MIN_RATE_HZ = 1_000
"""A lower rate was probably meant in kHz."""

NO_ARRAY = (TypeError, ValueError, RuntimeError)
"""Raised by numpy for rows of unequal length, and by PyTorch for a tensor on a GPU, with a gradient or of bfloat16."""


def as_samples(given: object, name: str) -> Waveform:
    """Float32 [T] of floats [T], which are meant to lie in [-1, 1], or of 16-bit integers, which are scaled to that.

    Callers check whether they are finite and in range.

    Raises:
        AudioError: `given` is anything else.
    """
    if isinstance(given, (str, os.PathLike)):
        raise AudioError(f"{name} is a path and not samples: {WANTED}, for example of load_audio(path)")
    if isinstance(given, (bytes, bytearray, memoryview)):
        raise AudioError(f"{name} is {kind_of(given)}: {WANTED}, for example np.frombuffer(data, np.int16)")
    if "numpy.ma" in sys.modules and np.ma.is_masked(given):  # numpy.ma takes 20 ms to load
        raise AudioError(f"{name} has masked samples: {WANTED}, for example clip.filled(0)")
    try:
        array = np.asarray(given)
    except NO_ARRAY as error:
        example = ", for example clip.detach().cpu().float().numpy()" if hasattr(given, "detach") else ""
        raise AudioError(f"{name} is {kind_of(given)} and not an array of samples: {WANTED}{example}") from error
    if array.ndim > 1:
        raise AudioError(
            f"{name} is of shape {array.shape} but one channel is needed: {WANTED}, "
            "for example clip[:, 0] of [T, channels] or clip[0] of [channels, T]"
        )
    if array.ndim == 0:
        kind = "one number" if array.dtype.kind in "iuf" else kind_of(given)
        raise AudioError(f"{name} is {kind} and not samples: {WANTED}")
    if (array.dtype.kind, array.dtype.itemsize) == ("i", 2):
        return np.ascontiguousarray(array, dtype=np.float32) / np.float32(INT16_SCALE)
    if array.dtype.kind != "f":
        raise AudioError(f"{name} is {array.dtype} of shape {array.shape}: {WANTED}")
    with np.errstate(over="ignore"):  # overflow gives infinity, which is refused
        return np.ascontiguousarray(array, dtype=np.float32)


def check_rate(rate_hz: object) -> int:
    """A sample rate in Hz.

    Raises:
        InputError: it is not a whole number from 1 to `MAX_RATE_HZ`.
    """
    if isinstance(rate_hz, Real) and not isinstance(rate_hz, bool) and 1 <= float(rate_hz) <= MAX_RATE_HZ:
        whole = int(float(rate_hz))
        if whole == rate_hz and whole >= MIN_RATE_HZ:
            return whole
        if whole == rate_hz:
            raise InputError(f"a sample rate of {whole} Hz is too low for speech: give it in Hz, such as 16000")
    raise InputError(f"a sample rate of {rate_hz!r} Hz: give the samples' rate, a whole number up to {MAX_RATE_HZ}")
