"""Handle graphs separately from their weights: models of gigabytes are inspected and saved without a copy.

skeleton(model)   the graph with the shapes of its large weights, without their values
save(model, path) the graph in `path`, its large weights in `path.data`, where ONNX Runtime maps them
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import TensorProto

from metaser.runtime.system.files import SHARED, replace_file, replacing

SMALL_BYTES = 1024
"""Smaller weights stay in the graph: shapes and axes, whose values shape inference needs."""

LARGE_BYTES = 2**26
"""A larger graph keeps its weights in a separate file: half the memory and time to load."""

PAGE_BYTES = 4096
"""Alignment of a weight in the file, so that it can be memory-mapped."""


def skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large weights have a name, a type and a shape, but no data."""
    return _with_weights(model, (_elsewhere(tensor) if _is_large(tensor) else tensor for tensor in _weights(model)))


def inferred_values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Types and shapes of all tensors of a graph that can be inferred."""
    return list(onnx.shape_inference.infer_shapes(skeleton(model)).graph.value_info)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write the graph, with its weights in a separate file if it is large; the model is not changed."""
    if model.ByteSize() < LARGE_BYTES:
        replace_file(path, model.SerializeToString(deterministic=True), mode=SHARED)
        return
    data_path = path.with_name(f"{path.name}.data")
    weights = []
    with replacing(data_path, mode=SHARED) as file:
        for tensor in _weights(model):
            if _is_large(tensor):
                file.write(bytes(-file.tell() % PAGE_BYTES))
                place = {"location": data_path.name, "offset": file.tell(), "length": file.write(tensor.raw_data)}
                weights.append(_elsewhere(tensor, **place))
            else:
                weights.append(tensor)
    replace_file(path, _with_weights(model, weights).SerializeToString(deterministic=True), mode=SHARED)


def _weights(model: onnx.ModelProto) -> Iterable[TensorProto]:
    return model.graph.initializer


def _is_large(tensor: TensorProto) -> bool:
    return bool(tensor.HasField("raw_data")) and tensor.ByteSize() > SMALL_BYTES


def _elsewhere(tensor: TensorProto, **place: object) -> TensorProto:
    """A tensor without its values; `place` gives their location, as ONNX's external data does."""
    empty = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    empty.data_location = TensorProto.EXTERNAL
    for key, value in (place or {"location": "nowhere"}).items():
        empty.external_data.add(key=key, value=str(value))
    return empty


def _with_weights(model: onnx.ModelProto, weights: Iterable[TensorProto]) -> onnx.ModelProto:
    """A copy of the model with other weights."""
    copy = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _copy_field(copy, field.name, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _copy_field(copy.graph, field.name, value)
    copy.graph.initializer.extend(weights)
    return copy


def _copy_field(message: onnx.ModelProto | onnx.GraphProto, name: str, value: object) -> None:
    if isinstance(value, (str, int)):
        setattr(message, name, value)
    else:
        getattr(message, name).MergeFrom(value)
