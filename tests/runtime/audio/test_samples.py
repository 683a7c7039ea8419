"""Samples from callers: accepted, or refused in one line with the accepted forms."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaser.runtime.audio.samples import as_samples, check_rate
from metaser.runtime.errors import AudioError, InputError

CLIP = np.sin(np.arange(100) / 7).astype(np.float32) / 2


class Tensor:
    """As PyTorch's: one with a gradient refuses to become an array."""

    def __array__(self, dtype: object = None, copy: object = None) -> None:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self) -> None: ...


@pytest.mark.parametrize(
    "given",
    [CLIP.astype(np.float64), CLIP.astype(">f4"), CLIP.tolist(), tuple(CLIP.tolist()), np.repeat(CLIP, 2)[::2]],
    ids=["float64", "big-endian", "list", "tuple", "not contiguous"],
)
def test_samples_of_any_float_type_and_layout_are_taken(given: object) -> None:
    taken = as_samples(given, "the clip")
    assert taken.dtype == np.float32
    assert taken.flags.c_contiguous
    np.testing.assert_array_equal(taken, CLIP)


def test_16_bit_samples_are_scaled() -> None:
    np.testing.assert_array_equal(as_samples(np.array([-32_768, 0, 16_384], np.int16), "the clip"), [-1.0, 0.0, 0.5])
    np.testing.assert_array_equal(as_samples(np.array([16_384], ">i2"), "the clip"), [0.5])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("clip.wav", "the clip is a path and not samples: .* load_audio"),
        (Path("clip.wav"), "the clip is a path and not samples"),
        (CLIP.tobytes(), r"the clip is bytes: .* np\.frombuffer"),
        (None, "the clip is None and not samples"),
        (io.BytesIO(), "the clip is a BytesIO and not samples"),
        (0.5, "the clip is one number and not samples"),
        (CLIP[None], r"of shape \(1, 100\) but one channel is needed: .* clip\[0\]"),
        (CLIP[:, None], r"of shape \(100, 1\) but one channel is needed"),
        (CLIP.astype(complex), "the clip is complex64|the clip is complex128"),
        (CLIP > 0, "the clip is bool of shape"),
        ([1, 2, 3], "the clip is int64 of shape"),
        (["a", "b"], "the clip is <U1 of shape"),
        ([[0.1, 0.2], [0.3]], "the clip is a list and not an array of samples"),
        (Tensor(), r"the clip is a Tensor and not an array .*clip\.detach\(\)\.cpu\(\)\.float\(\)\.numpy\(\)"),
        (np.ma.masked_array(CLIP, CLIP > 0), r"the clip has masked samples: .* clip\.filled\(0\)"),
        ((sample for sample in CLIP), "the clip is a generator and not samples"),
        ({"a": CLIP}, "the clip is a dict and not samples"),
    ],
    ids=lambda given: type(given).__name__ if not isinstance(given, str) else None,
)
def test_anything_else_is_refused_with_what_to_give(given: object, message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        as_samples(given, "the clip")
    assert "give float samples [T] in [-1, 1], or int16" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_samples_are_samples() -> None:
    assert as_samples([], "the clip").shape == (0,)


@pytest.mark.parametrize("rate", [8000, 44_100.0, np.int64(48_000), np.float32(16_000)])
def test_a_whole_number_is_a_rate(rate: Any) -> None:
    assert check_rate(rate) == int(rate)


@pytest.mark.parametrize("rate", [0, -1, 0.5, 44_100.5, float("nan"), float("inf"), 10**9, "16000", None, True, [8000]])
def test_anything_else_is_no_rate(rate: object) -> None:
    with pytest.raises(InputError, match=f"a sample rate of {re.escape(repr(rate))} Hz: give the samples"):
        check_rate(rate)
