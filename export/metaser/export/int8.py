"""8-bit integer matrix products for CPUs: one scale per weight column, one scale per activation tensor.

An activation is quantised once for all products that use it, directly after it is computed, before its rows are
gathered or reshaped::

    x ─ quantise ─ Gather ─ Reshape ─ MatMulInteger ─ Cast ─ Mul (both scales)
      float32│uint8 …                  int32           float32

onnxruntime fuses the last three into one operator, and all of them if x has one product. The weights are symmetric
int8, which the runtime multiplies exactly on every processor (`metaser.runtime.providers.integer_products`).
Convolutions stay float32: quantised convolutions make speech encoders far slower on CPUs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

MOVING = frozenset({"Flatten", "Gather", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that only move the values of their first input."""

SMALLEST_SIDE = 16
"""Smaller weights are not quantised: they gain no speed, and their input (the waveform) needs more than 8 bits."""

WEIGHT_LIMIT = 127
ACTIVATION_STEPS = 255

Range = tuple[float, float]
"""The smallest and the largest value of an activation."""


@dataclass
class _Rewriting:
    """The graph under construction while its products are quantised."""

    ranges: Mapping[str, Range] | None
    producers: dict[str, onnx.NodeProto]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self.made.update(outputs)
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=f"{kind} {outputs[0]}", **attributes))

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def quantised(self, name: str) -> tuple[str, str, str]:
        """The names of a float activation's uint8 values, scale and zero point."""
        values, scale, zero = f"{name}.uint8", f"{name}.scale", f"{name}.zero"
        if values in self.made:
            return values, scale, zero
        if self.ranges is None:
            self.node("DynamicQuantizeLinear", [name], [values, scale, zero])
        else:
            found = affine(self.ranges[name])
            self.node("QuantizeLinear", [name, self.constant(scale, found[0]), self.constant(zero, found[1])], [values])
        return values, scale, zero

    def moved(self, name: str) -> tuple[str, str, str]:
        """The same for a product's input, quantised before the operators that only move its values."""
        node = self.producers.get(name)
        if node is None or node.op_type not in MOVING:
            return self.quantised(name)
        values, scale, zero = self.moved(node.input[0])
        target = f"{name}.uint8"
        if target not in self.made:
            again = onnx.NodeProto()
            again.CopyFrom(node)
            again.name, again.input[0], again.output[0] = f"{node.name} uint8", values, target
            self.made.add(target)
            self.nodes.append(again)
        return target, scale, zero

    def product(self, node: onnx.NodeProto, weight: npt.NDArray[np.float32]) -> None:
        """Replace a float product by an integer one."""
        values, scale, zero = self.moved(node.input[0])
        base, output = node.input[1], node.output[0]
        quantised, scales = by_column(weight)
        both, integer, wide = f"{output}.scale_of_product", f"{output}.int32", f"{output}.float32"
        integers = self.constant(f"{base}.int8", quantised)
        # of its own: onnxruntime 1.32 refuses one that several products share, and builds before 1.31 crash without one
        middle = self.constant(f"{base}.zero", np.array(0, np.int8))
        self.node("MatMulInteger", [values, integers, zero, middle], [integer])
        self.node("Cast", [integer], [wide], to=TensorProto.FLOAT)
        self.node("Mul", [scale, self.constant(f"{base}.scale", scales)], [both])
        self.node("Mul", [wide, both], [output])


def to_int8(encoder: onnx.ModelProto, ranges: Mapping[str, Range] | None = None) -> onnx.ModelProto:
    """A copy of a float32 encoder with int8 products; inputs and outputs stay float32.

    Parameters:
        ranges: measured on clips for each of `activations(encoder)`. The scales are then fixed, and the clips of a
            batch do not depend on each other. None: each tensor is measured at run time.
    """
    graph = encoder.graph
    weights = _weights(graph)
    rewriting = _Rewriting(ranges, _producers(graph))
    for node in graph.node:
        if (weight := _quantisable(node, weights)) is None:
            rewriting.nodes.append(node)
        else:
            rewriting.product(node, weight)
    nodes = _used(rewriting.nodes, {value.name for value in graph.output})
    needed = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in [*graph.initializer, *rewriting.constants.values()] if tensor.name in needed]
    return helper.make_model(
        helper.make_graph(nodes, graph.name, graph.input, graph.output, tensors),
        producer_name=encoder.producer_name,
        ir_version=encoder.ir_version,
        opset_imports=encoder.opset_import,
    )


def activations(encoder: onnx.ModelProto) -> list[str]:
    """The names of the float tensors that `to_int8` quantises, in the order of the graph."""
    graph = encoder.graph
    weights, producers = _weights(graph), _producers(graph)
    found: dict[str, None] = {}
    for node in graph.node:
        if _quantisable(node, weights) is not None:
            name = node.input[0]
            while name in producers and producers[name].op_type in MOVING:
                name = producers[name].input[0]
            found[name] = None
    return list(found)


def by_column(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """[K, N] float32 -> [K, N] int8 in [-127, 127] and the scale of each column, [N]; a column of zeros has scale 1."""
    largest = np.abs(weight).max(axis=0)  # [N]
    scales = np.where(largest > 0, largest / WEIGHT_LIMIT, 1).astype(np.float32)
    return np.rint(weight / scales).clip(-WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8), scales


def affine(limits: Range) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """The scale and zero point that spread a range, widened to hold 0, over 0 to 255, as DynamicQuantizeLinear does."""
    low, high = min(0.0, limits[0]), max(0.0, limits[1])
    scale = (high - low) / ACTIVATION_STEPS or 1.0
    return np.array(scale, np.float32), np.array(np.rint(-low / scale).clip(0, ACTIVATION_STEPS), np.uint8)


def _quantisable(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> npt.NDArray[np.float32] | None:
    """The weight [K, N] of a product that is large enough to quantise."""
    if node.op_type != "MatMul" or node.input[1] not in weights:
        return None
    tensor = weights[node.input[1]]
    if len(tensor.dims) != 2 or min(tensor.dims) < SMALLEST_SIDE:
        return None
    return numpy_helper.to_array(tensor)


def _weights(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}


def _producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in graph.node for name in node.output}


def _used(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes whose outputs are used."""
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]
