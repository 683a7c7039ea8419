"""A float32 graph in another precision: int8 matrix products for CPUs, float16 for GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import onnx

from metaser.export.float16 import to_fp16
from metaser.export.int8 import Range, to_int8
from metaser.runtime.bundles.manifest import Precision


def in_precision(
    encoder: onnx.ModelProto, precision: Precision, ranges: Mapping[str, Range] | None = None
) -> onnx.ModelProto:
    """A copy of a float32 encoder in `fp32`, `fp16` or `int8`; inputs and outputs stay float32.

    `ranges` fixes the scales of int8 activations; without it each tensor is measured at run time.
    """
    if precision == "int8":
        return to_int8(encoder, ranges)
    return to_fp16(encoder) if precision == "fp16" else encoder


def contents(model: onnx.ModelProto) -> dict[str, Any]:
    """Content of a written graph: number of operators by kind, and bytes of weights by type."""
    operators = Counter(node.op_type for node in model.graph.node)
    size_bytes: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        size_bytes[kind] += len(tensor.raw_data) or tensor.ByteSize()
    return {"operators": dict(sorted(operators.items())), "weight_bytes": dict(sorted(size_bytes.items()))}
