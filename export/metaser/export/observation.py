"""Observe the intermediate tensors of a graph on clips: ranges of activations, and each layer against its reference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from metaser.export.int8 import Range
from metaser.export.weights import save
from metaser.runtime.arrays import Waveform
from metaser.runtime.providers.session import ENCODER_NAMES, open_session, run_all

LAYER_NORM = re.compile(r"layers\.(\d+)\.final_layer_norm\.weight$")
"""The norm inside a transformer layer; in every architecture its input is the layer's residual stream."""

Observed = Mapping[str, npt.NDArray[np.float32]]


def observe(encoder: onnx.ModelProto, names: Sequence[str], clips: Sequence[Waveform]) -> Iterator[Observed]:
    """Yield the tensors of these names for each clip [T], by ONNX Runtime on the CPU."""
    outputs = encoder.graph.output
    count, known = len(outputs), {value.name for value in outputs}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "observed.onnx"
        outputs.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
        save(encoder, path)
        del outputs[count:]  # a copy of the whole graph would cost gigabytes
        session = open_session(path, "cpu", None, ENCODER_NAMES)
        for clip in clips:
            feeds = {"input_values": clip[None], "input_lengths": np.array([len(clip)], np.int64)}
            yield run_all(session, feeds, list(names))


def measure_ranges(encoder: onnx.ModelProto, names: Sequence[str], clips: Sequence[Waveform]) -> dict[str, Range]:
    """The smallest and the largest value of each tensor over the clips."""
    ranges = dict.fromkeys(names, (0.0, 0.0))
    for found in observe(encoder, names, clips):
        for name, values in found.items():
            low, high = ranges[name]
            ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))
    return ranges


def layer_cosines(reference: onnx.ModelProto, other: onnx.ModelProto, clip: Waveform) -> list[float]:
    """The cosine between the residual streams of two precisions of one graph, per layer."""
    names = residual_streams(reference)
    (first,), (second,) = (list(observe(model, names, [clip])) for model in (reference, other))
    return [_cosine(first[name], second[name]) for name in names]


def residual_streams(encoder: onnx.ModelProto) -> list[str]:
    """The name of each layer's residual stream, in layer order; it is the same in every precision."""
    found = {}
    for node in encoder.graph.node:
        if node.op_type == "LayerNormalization" and (match := LAYER_NORM.search(node.input[1])):
            found[int(match[1])] = node.input[0]
    return [found[layer] for layer in sorted(found)]


def _cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    first, second = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))
