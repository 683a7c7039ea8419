"""Damage the content of an ONNX graph in a valid protobuf: shapes, types, nodes, weights and their locations."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper

Change: TypeAlias = Callable[[onnx.ModelProto, random.Random], None]

DIMENSIONS = (0, 1, 2, -1, 7, 2**15, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63))
NUMBERS = (0, 1, -1, 2, 3, 64, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
NAMES = ("", "input_values", "no such name", "\u00e9", "x" * 5000)
OPERATORS = (
    "Add", "Mul", "MatMul", "Gemm", "Conv", "Reshape", "Transpose", "Slice", "Gather", "Concat", "Softmax", "Cast",
    "Expand", "Where", "Shape", "Identity", "LayerNormalization", "AveragePool", "NoSuchOperator", "",
)  # fmt: skip
PLACES = (
    "../encoder.onnx", "/etc/passwd", "encoder.onnx", "LICENSE", "missing.bin", "", ".", "/dev/zero", "bundle.json",
    "x/../LICENSE",
)  # fmt: skip
LARGEST_FILLED = 1 << 16
MOST_CHANGES = 3


def changed_graph(content: bytes, rng: random.Random) -> bytes:
    """A graph with one to three changes."""
    model = onnx.load_model_from_string(content)
    for _ in range(rng.randint(1, MOST_CHANGES)):
        rng.choice(CHANGES)(model, rng)
    return bytes(model.SerializeToString())


def _described_shape(model: onnx.ModelProto, rng: random.Random) -> None:
    """Change the declared shape or type of an input or an output."""
    graph = model.graph
    described = [*graph.input, *graph.output, *graph.value_info]
    if not described:
        return
    kind = rng.choice(described).type.tensor_type
    if rng.random() < 0.3 or not kind.shape.dim:
        kind.elem_type = rng.randrange(24)
    elif rng.random() < 0.2:
        kind.shape.dim.add().dim_value = rng.choice(DIMENSIONS)
    else:
        rng.choice(kind.shape.dim).dim_value = rng.choice(DIMENSIONS)


def _input_name(model: onnx.ModelProto, rng: random.Random) -> None:
    """Change the name of an input or of an output."""
    rng.choice([*model.graph.input, *model.graph.output]).name = rng.choice(NAMES)


def _lost_part(model: onnx.ModelProto, rng: random.Random) -> None:
    """Remove a node, a weight, an input or an output."""
    parts = [
        part for part in (model.graph.node, model.graph.initializer, model.graph.input, model.graph.output) if part
    ]
    part: Any = rng.choice(parts)
    del part[rng.randrange(len(part))]


def _repeated_part(model: onnx.ModelProto, rng: random.Random) -> None:
    """Duplicate a node or a weight."""
    part: Any = rng.choice([part for part in (model.graph.node, model.graph.initializer) if part])
    part.add().CopyFrom(rng.choice(part))


def _wiring(model: onnx.ModelProto, rng: random.Random) -> None:
    """Connect an input of a node to another tensor, or to the node's own output."""
    nodes = [node for node in model.graph.node if node.input and node.output]
    if not nodes:
        return
    node, other = rng.choice(nodes), rng.choice(nodes)
    source = rng.choice((*other.input, *other.output, *node.output, *NAMES))
    node.input[rng.randrange(len(node.input))] = source


def _operator(model: onnx.ModelProto, rng: random.Random) -> None:
    """Change the operator or the domain of a node."""
    node = rng.choice(model.graph.node)
    if rng.random() < 0.2:
        node.domain = rng.choice(("com.microsoft", "ai.onnx.ml", "no.such.domain"))
    else:
        node.op_type = rng.choice(OPERATORS)


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    """Change an attribute of a node: removed, boundary value, longer, or of another type."""
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    node = rng.choice(nodes)
    attribute = rng.choice(node.attribute)
    kind = rng.randrange(4)
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        attribute.type = rng.randrange(1, 12)
    elif attribute.ints and kind == 2:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif attribute.ints:
        attribute.ints.append(rng.choice(NUMBERS))
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = rng.choice(NUMBERS)
    else:
        attribute.f = rng.choice((float("nan"), float("inf"), -1.0, 0.0))


def _weight_shape(model: onnx.ModelProto, rng: random.Random) -> None:
    """Change the shape or the type of a weight, but not its bytes."""
    tensor = _weight(model, rng)
    kind = rng.randrange(4)
    if tensor is None:
        return
    if kind == 0:
        tensor.data_type = rng.randrange(24)
    elif kind == 1:
        tensor.dims.append(rng.choice(DIMENSIONS))
    elif kind == 2:
        shape = list(tensor.dims)[::-1]
        del tensor.dims[:]
        tensor.dims.extend(shape)
    elif tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(DIMENSIONS)


def _weight_values(model: onnx.ModelProto, rng: random.Random) -> None:
    """Set numbers of a weight to boundary values: axes, shapes and indices are weights too."""
    whole = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT64]
    tensor = rng.choice(whole) if whole and rng.random() < 0.7 else _weight(model, rng)
    if tensor is None or int(np.prod(tensor.dims)) > LARGEST_FILLED or tensor.data_location:
        return
    try:
        values = numpy_helper.to_array(tensor).copy()
    except (TypeError, ValueError):  # an earlier change altered its shape
        return
    if not values.size or values.dtype.kind not in "if":
        return
    limits = np.iinfo(values.dtype) if values.dtype.kind == "i" else None
    special = max(limits.min, min(limits.max, rng.choice(NUMBERS))) if limits else rng.choice((np.nan, np.inf, 0.0))
    values.flat[rng.randrange(values.size)] = special
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _elsewhere(model: onnx.ModelProto, rng: random.Random) -> None:
    """Move a weight to another file, with an offset and a length."""
    tensor = _weight(model, rng)
    if tensor is None:
        return
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entries = {"location": rng.choice(PLACES), "offset": str(rng.choice(NUMBERS)), "length": str(rng.choice(NUMBERS))}
    for key, value in entries.items():
        if key == "location" or rng.random() < 0.5:
            tensor.external_data.add(key=key, value=value)


def _version(model: onnx.ModelProto, rng: random.Random) -> None:
    """Change the version of the file format or of the operators."""
    if rng.random() < 0.5 or not model.opset_import:
        model.ir_version = rng.choice((0, 1, 3, 11, 99, 2**31, 2**63 - 1))
    else:
        rng.choice(model.opset_import).version = rng.choice((0, 1, 6, 12, 24, 99, -1, 2**63 - 1))


def _weight(model: onnx.ModelProto, rng: random.Random) -> onnx.TensorProto | None:
    tensors = list(model.graph.initializer)
    tensors += [attribute.t for node in model.graph.node for attribute in node.attribute if attribute.HasField("t")]
    return rng.choice(tensors) if tensors else None


CHANGES: tuple[Change, ...] = (
    _described_shape, _input_name, _lost_part, _repeated_part, _wiring, _operator, _attribute, _attribute,
    _weight_shape, _weight_values, _weight_values, _elsewhere, _version,
)  # fmt: skip
