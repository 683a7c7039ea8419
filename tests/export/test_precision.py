"""Content of a graph in int8 or float16, and its difference from float32."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from metaser.export.float16 import FP32_OPERATORS
from metaser.export.golden import voiced_waveform
from metaser.export.int8 import SMALLEST_SIDE
from metaser.export.precision import contents, in_precision
from metaser.runtime.bundles.manifest import Precision
from metaser.runtime.providers.session import session_options
from metaser.runtime.scoring.decision import unit


def mean_frame(model: Any) -> np.ndarray:
    clip = voiced_waveform(20_000)[None]
    feeds = {"input_values": clip, "input_lengths": np.array([clip.shape[1]], np.int64)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    frames = session.run(["last_hidden_state"], feeds)[0]
    assert frames.dtype == np.float32
    return frames[0].mean(axis=0)


@pytest.mark.parametrize(("precision", "cosine"), [("int8", 0.99), ("fp16", 0.9999)])
def test_another_precision_stays_near(graph: Any, precision: Precision, cosine: float) -> None:
    model = in_precision(graph, precision)
    assert unit(mean_frame(model)) @ unit(mean_frame(graph)) >= cosine


def test_int8_quantises_every_product_with_weights_of_some_size(graph: Any) -> None:
    before, after = contents(graph)["operators"], contents(in_precision(graph, "int8"))["operators"]
    weights = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    taken = [node.input[1] for node in graph.graph.node if node.op_type == "MatMul"]
    large = sum(min(weights[name]) >= SMALLEST_SIDE for name in taken if name in weights)
    assert large >= 12
    assert after["MatMulInteger"] == large
    assert after["DynamicQuantizeLinear"] < large  # query, key and value share theirs
    assert "ConvInteger" not in after
    assert after.get("Conv") == before.get("Conv")


def test_float16_holds_float16_weights_except_for_layer_norm_and_signal_processing(graph: Any) -> None:
    model = in_precision(graph, "fp16")
    onnx.checker.check_model(model)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    sizes = contents(model)["weight_bytes"]
    assert sizes["float16"] > 0
    for node in model.graph.node:
        inputs = [kinds[name] for name in node.input if name in kinds]
        if node.op_type in FP32_OPERATORS:
            assert onnx.TensorProto.FLOAT16 not in inputs
        if node.op_type == "MatMul" and "fourier" not in node.input[0] and "mel_filters" not in node.input[0]:
            assert onnx.TensorProto.FLOAT not in inputs


def test_float32_is_left_as_it_is(graph: Any) -> None:
    assert in_precision(graph, "fp32") is graph
    assert set(contents(graph)["weight_bytes"]) <= {"float", "int64"}
