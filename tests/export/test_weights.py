"""Weights in a separate file: the loaded model is equal, the one in memory is unchanged, shapes need no values."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from metaser.export.weights import PAGE_BYTES, inferred_values, save, skeleton

WEIGHTS = {name: np.random.default_rng(seed).standard_normal((40, 40), np.float32) for seed, name in enumerate("ab")}
SHAPE = np.array([20, 2])


@pytest.fixture
def model() -> onnx.ModelProto:
    """y = reshape(x a b, [20, 2])"""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "a"], ["xa"]),
            helper.make_node("MatMul", ["xa", "b"], ["xab"]),
            helper.make_node("Reshape", ["xab", "shape"], ["y"]),
        ],
        "two products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            *(numpy_helper.from_array(value, name) for name, value in WEIGHTS.items()),
            numpy_helper.from_array(SHAPE, "shape"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, producer_name="here")


def test_a_large_graph_runs_from_two_files_and_the_model_is_not_changed(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaser.export.weights.LARGE_BYTES", 5000)
    before, path = model.SerializeToString(deterministic=True), tmp_path / "net.onnx"
    save(model, path)
    assert model.SerializeToString(deterministic=True) == before
    assert path.stat().st_size < 1000
    assert (tmp_path / "net.onnx.data").stat().st_size == 2 * 2 * PAGE_BYTES - (2 * PAGE_BYTES - 40 * 40 * 4)
    x = np.ones((1, 40), np.float32)
    (found,) = onnxruntime.InferenceSession(path).run(["y"], {"x": x})
    np.testing.assert_allclose(found, (x @ WEIGHTS["a"] @ WEIGHTS["b"]).reshape(SHAPE), rtol=1e-4)
    loaded = onnx.load(path)  # by ONNX's own reader, which records the location of each weight
    for tensor in loaded.graph.initializer:
        tensor.ClearField("data_location")
    assert loaded.SerializeToString(deterministic=True) == before


def test_a_small_graph_is_one_file(model: onnx.ModelProto, tmp_path: Path) -> None:
    save(model, tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert onnx.load(tmp_path / "net.onnx") == model


def test_shapes_are_inferred_without_the_weights_and_with_the_values_of_shapes(model: onnx.ModelProto) -> None:
    assert skeleton(model).ByteSize() < 1000
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*inferred_values(model), *onnx.shape_inference.infer_shapes(skeleton(model)).graph.output)
    }
    assert shapes == {"xa": [1, 40], "xab": [1, 40], "y": [20, 2]}
