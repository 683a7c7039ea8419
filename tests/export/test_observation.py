"""Intermediate tensors of a graph, compared with PyTorch and values by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from metaser.export.float16 import FLOAT16_LIMIT, largest_half_value, to_fp16
from metaser.export.golden import voiced_waveform
from metaser.export.int8 import activations, to_int8
from metaser.export.observation import layer_cosines, measure_ranges, observe, residual_streams
from metaser.runtime.errors import WorkError

CLIP = voiced_waveform(8_000)


def test_ranges_span_all_clips(graph: Any) -> None:
    clips = [CLIP, voiced_waveform(9_000, seed=1)]
    (name,) = {"last_hidden_state"}
    frames = [found[name] for found in observe(graph, [name], clips)]
    low, high = measure_ranges(graph, [name], clips)[name]
    assert low == min(float(values.min()) for values in frames)
    assert high == max(float(values.max()) for values in frames)


def test_what_is_observed_is_what_pytorch_computes(pretrained: Any, graph: Any) -> None:
    (found,) = observe(graph, ["last_hidden_state"], [CLIP])
    with torch.no_grad():
        expected = pretrained.backbone(2)(torch.from_numpy(CLIP)[None], torch.tensor([len(CLIP)]))[0]
    np.testing.assert_allclose(found["last_hidden_state"], expected, atol=1e-4)


def test_every_layer_is_compared_and_int8_drifts_while_float32_does_not(graph: Any) -> None:
    assert len(residual_streams(graph)) == 2
    assert layer_cosines(graph, graph, CLIP) == pytest.approx([1, 1], abs=1e-12)
    for other in (to_int8(graph), to_fp16(graph)):
        cosines = layer_cosines(graph, other, CLIP)
        assert all(0.97 < cosine < 1 - 1e-9 for cosine in cosines)


def test_fixed_scales_stay_as_near_as_measured_ones(graph: Any) -> None:
    static = to_int8(graph, measure_ranges(graph, activations(graph), [CLIP]))
    assert min(layer_cosines(graph, static, CLIP)) > 0.97


def test_float16_is_refused_where_it_would_overflow(graph: Any) -> None:
    assert 0 < largest_half_value(graph, [CLIP]) < FLOAT16_LIMIT
    loud = type(graph)()
    loud.CopyFrom(graph)
    for tensor in loud.graph.initializer:
        if tensor.name.endswith("products.1.weight"):
            values = np.frombuffer(tensor.raw_data, np.float32) * np.float32(1e6)
            tensor.raw_data = values.tobytes()
    with pytest.raises(WorkError, match="float16 ends at 65504"):
        largest_half_value(loud, [CLIP])
