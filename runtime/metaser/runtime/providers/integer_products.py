"""Checking whether ONNX Runtime multiplies uint8 by int8 exactly on this processor, by a product of extreme values.

x86 processors without VNNI add pairs of such products in 16 bits, in which 2 * 255 * 127 overflows. ONNX Runtime has
exact kernels, which run at 40 % of the speed on processors with VNNI. It uses them only if a session option asks for
them. It does not check the processor itself, so the runtime checks it once per process.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnxruntime

PROBE = Path(__file__).parents[1] / "data" / "integer_products.onnx"
"""`a` uint8 [M, DEPTH] -> `product` int32 [M, COLUMNS], the product with `extreme_weights`; by tools/int8_probe.py."""

DEPTH, COLUMNS = 64, 32
ROWS = (1, 8)
"""One row and several rows use different kernels."""

EXACT_KERNELS = "session.x64quantprecision"
"""ONNX Runtime's option for exact kernels (onnxruntime_session_options_config_keys.h)."""


def ask_for_exact_products(options: onnxruntime.SessionOptions) -> None:
    """Set the option for exact kernels if this processor's fast ones are not exact."""
    if not fast_kernels_are_exact():
        options.add_session_config_entry(EXACT_KERNELS, "1")


@cache
def fast_kernels_are_exact() -> bool:
    """Whether integer products are exact on this processor without the option for exact kernels."""
    return products_are_exact({})


def products_are_exact(entries: dict[str, str]) -> bool:
    """Whether a session with these options gives the products of numpy's integers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(str(PROBE), options, providers=["CPUExecutionProvider"])
    weights = extreme_weights().astype(np.int32)
    for rows in ROWS:
        values = np.full((rows, DEPTH), 255, np.uint8)
        if not np.array_equal(session.run(None, {"a": values})[0], values.astype(np.int32) @ weights):
            return False
    return True


def extreme_weights() -> npt.NDArray[np.int8]:
    """[DEPTH, COLUMNS] of 127 and, in every second column, -127."""
    row = np.where(np.arange(COLUMNS) % 2, -127, 127)
    return np.tile(row, (DEPTH, 1)).astype(np.int8)
