"""The variant of an encoder for TensorRT: one static window, attention as plain operators, opset 20.

samples   [0 ... input_lengths)   a clip, then zeros up to the window; the statistics, the attention and the frames of
          [input_lengths ... S)   the clip ignore them
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto

from metaser.export.float16 import to_fp16
from metaser.export.golden import voiced_waveform
from metaser.export.graphs import ENCODER_VALUES, EncoderGraph, export_graph
from metaser.export.tensorrt_audit import audit
from metaser.export.tensorrt_support import NEWEST_OPSET
from metaser.export.weights import inferred_values
from metaser.runtime.arrays import Frames
from metaser.runtime.bundles.manifest import Precision
from metaser.runtime.errors import WorkError
from metaser.runtime.providers.session import ENCODER_NAMES, open_session
from metaser.runtime.providers.static_window import StaticEncoder
from metaser.runtime.scoring.decision import unit
from metaser.toolkit.model.encoder import Backbone

DIFFERENCE_AT_MOST = {"fp32": 1e-4, "fp16": 0.1}
"""Largest difference of a frame value, relative to the largest value if that is above 1."""

COSINE_AT_LEAST = {"fp32": 0.99999, "fp16": 0.999}
"""Lowest cosine of a clip's mean frame."""


@dataclass(frozen=True)
class TensorRTParity:
    """Differences between the static graph (ONNX Runtime, CPU) and PyTorch, also for clips shorter than the window."""

    window_samples: int
    lengths_samples: list[int]
    frames_max_difference: float
    mean_frame_cosine_min: float


def static_graph(backbone: Backbone, window_samples: int) -> onnx.ModelProto:
    """A backbone in float32 for one clip of up to `window_samples`, under the names of the dynamic graph."""
    model = export_graph(
        EncoderGraph(backbone.limited_to(window_samples)),
        (torch.zeros(1, window_samples), torch.tensor([window_samples])),
        None,
        ENCODER_VALUES,
        opset=NEWEST_OPSET,
    )
    _replace_integer_clips(model)
    return model


def for_tensorrt(model: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """Convert a static float32 graph to fp32 or fp16, and audit it.

    Raises:
        WorkError: the audit finds something that TensorRT does not support.
    """
    if precision == "fp16":
        model = to_fp16(model)
    if problems := audit(model):
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise WorkError(f"TensorRT would not take this encoder: {problems[0]}{more}; export without --tensorrt")
    return model


def _replace_integer_clips(model: onnx.ModelProto) -> None:
    """Replace Clip with a lower bound by Max, which TensorRT also has for integers: the lengths are integers."""
    integers = {
        value.name
        for value in (*model.graph.input, *inferred_values(model))
        if value.type.tensor_type.elem_type == TensorProto.INT64
    }
    for node in model.graph.node:
        given = [name for name in node.input if name]
        if node.op_type == "Clip" and node.input[0] in integers and given == list(node.input[:2]):
            node.op_type = "Max"
            del node.input[2:]


def measure_tensorrt_parity(path: Path, backbone: Backbone, precision: Precision) -> TensorRTParity:
    """Compare the written static graph with PyTorch, from the shortest clip to the whole window.

    Raises:
        WorkError: they differ by more than the precision's tolerance.
    """
    encoder = StaticEncoder(open_session(path, "cpu", None, ENCODER_NAMES))
    window, shortest = encoder.window_samples, backbone.receptive_field_samples
    wanted = {shortest, shortest + backbone.hop_samples - 1, window // 2, window - 1, window}
    lengths = sorted(samples for samples in wanted if shortest <= samples <= window)
    differences, cosines = [], []
    for seed, samples in enumerate(lengths):
        waveform = voiced_waveform(samples, seed)
        frames, reference = encoder.frames(waveform), _reference(backbone, waveform)
        if frames.shape != reference.shape:
            raise WorkError(f"the TensorRT graph gives {frames.shape} frames and PyTorch {reference.shape}")
        differences.append(float(np.abs(frames - reference).max() / max(1.0, float(np.abs(reference).max()))))
        cosines.append(float(unit(frames.mean(axis=0)) @ unit(reference.mean(axis=0))))
    parity = TensorRTParity(window, lengths, max(differences), min(cosines))
    if not parity.frames_max_difference <= DIFFERENCE_AT_MOST[precision]:
        raise WorkError(
            f"the {precision} graph for TensorRT does not match PyTorch (frames differ by "
            f"{parity.frames_max_difference:.1e}): nothing was written"
        )
    if not parity.mean_frame_cosine_min >= COSINE_AT_LEAST[precision]:
        raise WorkError(
            f"the {precision} graph for TensorRT does not match PyTorch (cosine {parity.mean_frame_cosine_min:.5f}): "
            "nothing was written"
        )
    return parity


def _reference(backbone: Backbone, waveform: np.typing.NDArray[np.float32]) -> Frames:
    with torch.inference_mode():
        frames: Frames = backbone(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))[0][0].numpy()
    return frames
