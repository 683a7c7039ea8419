"""Matrix product speed of this processor in ONNX Runtime, and the operations of a network to compare with it.

A product has two operations per multiplication. XLS-R's matrix products are its strided convolutions, four projections
and two feed-forward products per layer; attention's own products and the positional convolution are not counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.machine import best_median_s
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.providers.session import session_options

ROWS, DEPTH, COLUMNS = 200, 1024, 4096
"""Frames of 4 s, width and feed-forward width of XLS-R 300M."""

RUNS = 20
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
CONVOLVED, WIDTH, INNER = 512, 1024, 4096


def roofline_gops(threads: int) -> dict[str, float]:
    """Billions of operations per second of one product, by the type of its weights."""
    return {kind: _product_gops(kind, threads) for kind in ("int8", "float32")}


def xlsr_operations(seconds: float, layers: int) -> float:
    """Operations of XLS-R 300M's matrix products for a clip."""
    frames, channels, products = int(seconds * SAMPLE_RATE_HZ), 1, 0
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        frames = (frames - kernel) // stride + 1
        products += frames * kernel * channels * CONVOLVED
        channels = CONVOLVED
    products += frames * CONVOLVED * WIDTH
    products += frames * layers * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
    return 2.0 * products


def _product_gops(kind: str, threads: int) -> float:
    rng = np.random.default_rng(0)
    if kind == "int8":
        values: Any = rng.integers(0, 256, (ROWS, DEPTH)).astype(np.uint8)
        weights: Any = rng.integers(-127, 128, (DEPTH, COLUMNS)).astype(np.int8)
        types, zero = (TensorProto.UINT8, TensorProto.INT32), [numpy_helper.from_array(np.array(0, np.int8), "zero")]
        node = helper.make_node("MatMulInteger", ["values", "weights", "", "zero"], ["product"])
    else:
        values, weights = (rng.standard_normal(shape).astype(np.float32) for shape in ((ROWS, DEPTH), (DEPTH, COLUMNS)))
        types, zero = (TensorProto.FLOAT, TensorProto.FLOAT), []
        node = helper.make_node("MatMul", ["values", "weights"], ["product"])
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("values", types[0], ["rows", DEPTH])],
        [helper.make_tensor_value_info("product", types[1], ["rows", COLUMNS])],
        [numpy_helper.from_array(weights, "weights"), *zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options(threads))
    seconds = best_median_s(lambda: session.run(None, {"values": values}), RUNS)
    return 2e-9 * ROWS * DEPTH * COLUMNS / seconds
