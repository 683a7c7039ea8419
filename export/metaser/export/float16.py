"""Float16 for GPUs: everything after the first learned layer, except operators that overflow or lose precision.

waveform ─ normalisation or log-mel ─┬─ convolution ─ ... ─ LayerNorm ─ ... ─ frames
float32                              │  float16             float32           float32
                                     └─ one cast per tensor that crosses the border
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from metaser.export.observation import measure_ranges
from metaser.export.weights import inferred_values, skeleton
from metaser.runtime.arrays import Waveform
from metaser.runtime.errors import WorkError

FIRST_LEARNED_WEIGHTS = ("products.0.weight", "encoder.conv1.weight", "feature_extractor.conv_layers.0.conv.weight")
"""First learned layer of the rewritten graphs and of the plain ones. Nodes that it does not reach are signal
processing, lengths and masks."""

FP32_OPERATORS = frozenset({"LayerNormalization", "Softmax", "Attention", "Cast", "ReduceMean", "ReduceSum"})
"""Statistics and softmax overflow silently in float16."""

FLOAT16_LIMIT = 65504.0

SUFFIX = {TensorProto.FLOAT: ".fp32", TensorProto.FLOAT16: ".fp16"}


def to_fp16(encoder: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a float32 encoder with float16 weights and arithmetic; inputs and outputs stay float32."""
    model = skeleton(encoder)
    graph = model.graph
    known = [*graph.input, *graph.output, *inferred_values(encoder)]
    floats = {value.name for value in known if _is_float(value)}
    weights = {tensor.name: tensor for tensor in encoder.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    half_nodes = _half_nodes(graph)
    sides: dict[str, int] = dict.fromkeys([*floats, *weights], TensorProto.FLOAT)
    outputs = {value.name for value in graph.output}
    nodes: list[onnx.NodeProto] = []
    made: dict[str, onnx.TensorProto] = {}  # weights in float16
    cast: set[str] = set()
    for node in graph.node:
        side = TensorProto.FLOAT16 if node.name in half_nodes else TensorProto.FLOAT
        for index, name in enumerate(node.input):
            if name not in sides or sides[name] == side:
                continue
            node.input[index] = renamed = name + SUFFIX[side]
            if name in weights:
                made[renamed] = numpy_helper.from_array(
                    numpy_helper.to_array(weights[name]).astype(np.float16), renamed
                )
            elif renamed not in cast:
                cast.add(renamed)
                nodes.append(_cast(name, renamed, side))
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in sides and side == TensorProto.FLOAT16:
                if name in outputs:
                    node.output[index] = half = name + SUFFIX[side]
                    nodes.append(_cast(half, name, TensorProto.FLOAT))
                else:
                    sides[name] = side
    used = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in [*encoder.graph.initializer, *made.values()] if tensor.name in used]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    return model


def largest_half_value(encoder: onnx.ModelProto, clips: Sequence[Waveform]) -> float:
    """The largest absolute value, over some clips, of the float32 tensors that will be computed in float16.

    Raises:
        WorkError: float16 cannot hold it.
    """
    half = _half_nodes(encoder.graph)
    floats = {value.name for value in inferred_values(encoder) if _is_float(value)}
    names = [name for node in encoder.graph.node if node.name in half for name in node.output if name in floats]
    ranges = measure_ranges(encoder, names, clips)
    name = max(ranges, key=lambda name: max(map(abs, ranges[name])))
    largest = max(map(abs, ranges[name]))
    if largest > FLOAT16_LIMIT:
        raise WorkError(f"{name} reaches {largest:.3g} and float16 ends at {FLOAT16_LIMIT:g}: export with --fp32")
    return largest


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type == TensorProto.FLOAT


def _half_nodes(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes after the first learned layer that are safe in float16."""
    reached: set[str] = set()
    found = set()
    for node in graph.node:  # in topological order
        if reached.intersection(node.input) or any(name.endswith(FIRST_LEARNED_WEIGHTS) for name in node.input):
            reached.update(node.output)
            if node.op_type not in FP32_OPERATORS:
                found.add(node.name)
    return found


def _cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"cast {target}", to=kind)
