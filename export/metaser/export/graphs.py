"""Convert PyTorch modules to the graphs of a bundle: ONNX models with dynamic batch and length."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.func import functional_call

from metaser.export.rewriting import rewritten
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.toolkit.model.encoder import Backbone
from metaser.toolkit.model.network import Head

OPSET = 23
"""Newest opset of onnxruntime 1.23, the last version for Python 3.10; it has attention as one operator."""

PORTABLE_OPSET = 18
"""Opset for OpenVINO, QNN and older CUDA builds: attention and GELU are written as several operators."""

PARAMETER = "parameter."
ENCODER_VALUES = (["input_values", "input_lengths"], ["last_hidden_state", "frame_lengths"])


class EncoderGraph(nn.Module):
    """A backbone under the names that ONNX tools expect of a speech encoder."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_values: Tensor, input_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] and [B] -> last_hidden_state [B, N, D], frame_lengths [B]."""
        frames, frame_lengths = self.backbone(input_values, input_lengths)
        return frames, frame_lengths


class HeadGraph(nn.Module):
    """A head that takes its parameters as inputs, so that a tuned head needs no new graph."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self._head = [head]  # in a list, so that its parameters do not become constants of the graph

    def forward(self, parameters: dict[str, Tensor], frames: Tensor, frame_mask: Tensor) -> Tensor:
        """The head's parameters, [B, N, D] and [B, N] -> embedding [B, E]."""
        return functional_call(self._head[0], parameters, (frames, frame_mask))


def longest_window_s(backbone: Backbone, wanted_s: float) -> float:
    """The requested window, or the longest that the backbone has positions for."""
    longest = backbone.max_samples
    return wanted_s if longest is None else min(wanted_s, longest / SAMPLE_RATE_HZ)


def encoder_graph(backbone: Backbone, max_window_s: float, *, portable: bool = False) -> onnx.ModelProto:
    """A backbone for windows of up to `max_window_s` as an ONNX model in float32.

    Inputs `input_values` [batch, samples], `input_lengths` [batch]; outputs `last_hidden_state` [batch, frames, D],
    `frame_lengths` [batch].
    """
    max_samples = int(max_window_s * SAMPLE_RATE_HZ)
    waveform = torch.linspace(-0.5, 0.5, 2 * SAMPLE_RATE_HZ).reshape(2, SAMPLE_RATE_HZ)  # only its shape matters
    lengths = torch.tensor([SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 2])
    batch, samples = Dim("batch"), Dim("samples", min=backbone.receptive_field_samples, max=max_samples)
    model = export_graph(
        EncoderGraph(rewritten(backbone.limited_to(max_samples), portable=portable)),
        (waveform, lengths),
        ({0: batch, 1: samples}, {0: batch}),
        ENCODER_VALUES,
        opset=PORTABLE_OPSET if portable else OPSET,
    )
    frames_output = model.graph.output[0].type.tensor_type.shape.dim
    frames_output[1].dim_param = "frames"
    return model


def head_graph(head: Head, *, portable: bool = False) -> onnx.ModelProto:
    """A pooling head as an ONNX model: `parameter.NAME` …, `frames`, `frame_mask` -> `embedding`.

    A portable graph has no unused input, because OpenVINO's provider fails on one.
    """
    parameters = {name: value.detach() for name, value in head.named_parameters()}
    batch, frames = Dim("batch"), Dim("frames")
    model = export_graph(
        HeadGraph(head),
        (parameters, torch.ones(2, 5, head.width), torch.ones(2, 5)),
        (dict.fromkeys(parameters), {0: batch, 1: frames}, {0: batch, 1: frames}),
        ([*(f"{PARAMETER}{name}" for name in parameters), "frames", "frame_mask"], ["embedding"]),
        opset=PORTABLE_OPSET if portable else OPSET,
    )
    if portable:
        _drop_unread_inputs(model.graph)
    return model


def _drop_unread_inputs(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    for value in [value for value in graph.input if value.name not in read]:
        graph.input.remove(value)


def export_graph(
    module: nn.Module,
    arguments: tuple[Any, ...],
    shapes: tuple[Any, ...] | None,
    names: tuple[list[str], list[str]],
    *,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A module as an ONNX model.

    `shapes` gives the dynamic axes of each argument (None: no axis); `names` are those of inputs and outputs.
    """
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            arguments,
            dynamo=True,
            opset_version=opset,
            dynamic_shapes=shapes,
            input_names=names[0],
            output_names=names[1],
            verbose=False,
        )
    assert program is not None
    return _anonymous(program.model_proto)


def _anonymous(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without metadata about the exporting code and machine."""
    model.producer_name, model.producer_version, model.doc_string = "metaser", "", ""
    del model.metadata_props[:]
    graph = model.graph
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Remove the metadata of the exporter and the quantiser."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
