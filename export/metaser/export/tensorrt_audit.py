"""Find what TensorRT's parser would refuse in a graph, without TensorRT and without a GPU."""

from __future__ import annotations

import onnx
from onnx import TensorProto, shape_inference

from metaser.export.tensorrt_support import (
    CONSTANT_INPUTS,
    FP32_ONLY,
    NEWEST_OPSET,
    OLDEST_OPSET,
    SOURCE,
    SUPPORTED,
)
from metaser.export.weights import skeleton


def audit(model: onnx.ModelProto) -> list[str]:
    """One sentence per problem that TensorRT's parser would refuse or make dynamic; empty if there are none."""
    problems = _format_problems(model)
    try:
        inferred = shape_inference.infer_shapes(skeleton(model), check_type=True, strict_mode=True, data_prop=True)
    except (shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        return [*problems, f"its shapes cannot be inferred: {str(error).strip().splitlines()[-1]}"]
    graph = inferred.graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
        if not _is_static(value):
            problems.append(f"{value.name} has no static shape")
    constants = {tensor.name for tensor in graph.initializer}
    constants.update(name for node in graph.node if node.op_type == "Constant" for name in node.output)
    for node in graph.node:
        problems += [f"{node.op_type} ({node.name}) {problem}" for problem in _node_problems(node, types, constants)]
    return problems


def _format_problems(model: onnx.ModelProto) -> list[str]:
    problems = []
    for opset in model.opset_import:
        if opset.domain not in {"", "ai.onnx"}:
            problems.append(f"it uses the operator set {opset.domain}, and TensorRT supports only that of ONNX")
        elif not OLDEST_OPSET <= opset.version <= NEWEST_OPSET:
            problems.append(f"it is in opset {opset.version}, outside {OLDEST_OPSET} to {NEWEST_OPSET}")
    if model.functions:
        problems.append(f"it holds {len(model.functions)} functions of its own")
    return problems


def _is_static(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(axis.HasField("dim_value") for axis in tensor.shape.dim)


def _node_problems(node: onnx.NodeProto, types: dict[str, int], constants: set[str]) -> list[str]:
    if node.domain not in {"", "ai.onnx"}:
        return [f"is of the domain {node.domain}"]
    if node.op_type not in SUPPORTED:
        return [f"is not in {SOURCE}"]
    problems = []
    shape_inputs = CONSTANT_INPUTS.get(node.op_type, ())
    for index, name in enumerate(node.input):
        if not name:
            continue
        if index in shape_inputs and name not in constants:
            problems.append(f"takes {name} for a shape or axes, and it is not constant")
        if name not in types:
            problems.append(f"takes {name}, whose type and shape are unknown")
        elif index not in shape_inputs and types[name] not in _allowed(node, index):
            problems.append(f"takes {name} in {_type_name(types[name])}, which TensorRT does not support there")
    known = [types[name] for name in (*node.input, *node.output) if name in types]
    if node.op_type in FP32_ONLY and TensorProto.FLOAT16 in known:
        problems.append("computes in float16, where its sums overflow")
    if node.op_type == "LayerNormalization" and len([name for name in node.output if name]) > 1:
        problems.append("outputs its statistics, and TensorRT supports only its first output")
    return problems


def _allowed(node: onnx.NodeProto, index: int) -> frozenset[int]:
    """The data inputs of a node: all except Gather's indices and Where's condition, which have types of their own."""
    if node.op_type.startswith("Gather") and index == 1:
        return frozenset({TensorProto.INT32, TensorProto.INT64})
    if node.op_type == "Where" and index == 0:
        return frozenset({TensorProto.BOOL})
    return frozenset(SUPPORTED[node.op_type])


def _type_name(number: int) -> str:
    return str(TensorProto.DataType.Name(number)).lower()
