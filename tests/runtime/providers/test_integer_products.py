"""Products of 8 bits: exact on this processor, and under an emulated one whose fast kernels overflow."""

import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from metaser.runtime.bundles.bundle import shipped_bundles, shipped_folder
from metaser.runtime.providers import integer_products
from metaser.runtime.providers.integer_products import (
    EXACT_KERNELS,
    PROBE,
    ROWS,
    extreme_weights,
    fast_kernels_are_exact,
    products_are_exact,
)
from metaser.runtime.providers.session import session_options

QEMU = shutil.which("qemu-x86_64")
OVERFLOWING = "Haswell-v4"
"""AVX2 without VNNI: pairs of products are added in 16 bits."""


def test_the_weights_overflow_16_bits_where_pairs_are_added() -> None:
    weights = extreme_weights().astype(int)
    assert set(np.abs(255 * (weights[0] + weights[1]))) == {64_770}
    assert np.iinfo(np.int16).max < 64_770


def test_the_exact_kernels_are_exact() -> None:
    assert products_are_exact({EXACT_KERNELS: "1"})


def test_a_kernel_that_saturates_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    run = onnxruntime.InferenceSession.run

    def saturating(*arguments: object) -> list[np.ndarray]:
        return [np.clip(output, -32_768, 32_767) for output in run(*arguments)]

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", saturating)
    assert not products_are_exact({EXACT_KERNELS: "1"})


@pytest.mark.parametrize(("exact", "entry"), [(True, None), (False, "1")])
def test_the_exact_kernels_are_asked_for_only_if_the_fast_ones_overflow(
    exact: bool, entry: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer_products, "fast_kernels_are_exact", lambda: exact)
    options = session_options()
    if entry is None:
        with pytest.raises(RuntimeError):  # how onnxruntime answers for an entry that was not set
            options.get_session_config_entry(EXACT_KERNELS)
    else:
        assert options.get_session_config_entry(EXACT_KERNELS) == entry


def test_sessions_multiply_exactly_on_this_processor() -> None:
    session = onnxruntime.InferenceSession(str(PROBE), session_options(1), providers=["CPUExecutionProvider"])
    values = np.random.default_rng(0).integers(0, 256, (max(ROWS), len(extreme_weights()))).astype(np.uint8)
    values[0] = 255
    (product,) = session.run(None, {"a": values})
    np.testing.assert_array_equal(product, values.astype(np.int32) @ extreme_weights().astype(np.int32))


@pytest.mark.parametrize("name", shipped_bundles())
def test_fast_and_exact_kernels_give_the_same_bits(name: str) -> None:
    if not fast_kernels_are_exact():
        pytest.skip("the fast kernels of this processor are not exact, so they are never used")
    path = shipped_folder() / "bundles" / name / "encoder.onnx"
    exact = session_options(1)
    exact.add_session_config_entry(EXACT_KERNELS, "1")
    clip = 0.1 * np.random.default_rng(0).standard_normal((1, 24_000)).astype(np.float32)
    feeds = {"input_values": clip, "input_lengths": np.array([24_000], np.int64)}
    fast_frames, exact_frames = (
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for options in (session_options(1), exact)
    )
    np.testing.assert_array_equal(fast_frames, exact_frames)


@pytest.mark.skipif(
    QEMU is None, reason="needs qemu-x86_64, to emulate a processor without VNNI: apt install qemu-user"
)
def test_a_processor_without_vnni_gets_exact_products() -> None:
    assert QEMU is not None
    script = (
        "from metaser.runtime.providers.integer_products import *\n"
        "import onnxruntime, numpy as np\n"
        "from metaser.runtime.providers.session import session_options\n"
        "session = onnxruntime.InferenceSession(str(PROBE), session_options(1), providers=['CPUExecutionProvider'])\n"
        "values = np.full((8, DEPTH), 255, np.uint8)\n"
        "expected = values.astype(np.int32) @ extreme_weights().astype(np.int32)\n"
        "print(fast_kernels_are_exact(), np.array_equal(session.run(None, {'a': values})[0], expected))\n"
    )
    words = [QEMU, "-cpu", OVERFLOWING, sys.executable, "-c", script]
    found = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert found.stdout.split() == ["False", "True"], found.stderr
