"""Int8 products against numpy and values by hand: scales, shared activations, moves after quantisation."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from metaser.export.int8 import activations, affine, by_column, to_int8
from metaser.runtime.providers.session import session_options

INNER, COLUMNS = 32, 16


def test_each_column_has_its_scale_and_uses_all_of_127() -> None:
    weight = np.array([[1.0, -0.5, 0.0], [-2.0, 0.25, 0.0]], np.float32)
    quantised, scales = by_column(weight)
    np.testing.assert_array_equal(quantised, [[64, -127, 0], [-127, 64, 0]])
    np.testing.assert_allclose(scales, [2 / 127, 0.5 / 127, 1])


@pytest.mark.parametrize(
    ("limits", "scale", "zero"),
    [
        ((-1.0, 1.55), 0.01, 100),
        ((0.0, 2.55), 0.01, 0),
        ((0.5, 2.55), 0.01, 0),
        ((-2.55, -1.0), 0.01, 255),
        ((0, 0), 1, 0),
    ],
)
def test_a_range_is_spread_over_255_steps_and_holds_zero(limits: tuple[float, float], scale: float, zero: int) -> None:
    found = affine(limits)
    assert found[0] == pytest.approx(scale)
    assert found[1] == zero


@pytest.fixture
def model() -> onnx.ModelProto:
    """x -> rows 1 and 0 -> two products that are added, as a front end and attention have them."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.standard_normal((INNER, COLUMNS)).astype(np.float32), name) for name in "ab"]
    index = numpy_helper.from_array(np.array([1, 0], np.int64), "index")
    nodes = [
        helper.make_node("Relu", ["input"], ["x"]),
        helper.make_node("Gather", ["x", "index"], ["moved"], axis=1),
        helper.make_node("MatMul", ["moved", "a"], ["first"]),
        helper.make_node("MatMul", ["x", "b"], ["second"]),
        helper.make_node("Add", ["first", "second"], ["output"]),
    ]
    for node in nodes:
        node.name = node.output[0]
    graph = helper.make_graph(
        nodes,
        "two products",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 2, INNER])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 2, COLUMNS])],
        [*weights, index],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    return session.run(None, {"input": values})[0]


def test_an_activation_is_quantised_once_and_before_it_is_gathered(model: onnx.ModelProto) -> None:
    operators = [node.op_type for node in to_int8(model).graph.node]
    assert operators.count("DynamicQuantizeLinear") == 1
    assert operators.index("DynamicQuantizeLinear") < operators.index("Gather")
    assert operators.count("Gather") == 1
    assert operators.count("MatMulInteger") == 2
    assert activations(model) == ["x"]


def test_the_products_are_those_of_the_quantised_values(model: onnx.ModelProto) -> None:
    values = np.random.default_rng(1).standard_normal((1, 2, INNER)).astype(np.float32)
    x = np.maximum(values, 0)
    scale, zero = affine((float(x.min()), float(x.max())))
    rounded = (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale
    a, b = (numpy_helper.to_array(tensor) for tensor in model.graph.initializer[:2])
    (qa, sa), (qb, sb) = by_column(a), by_column(b)
    expected = rounded[:, [1, 0]] @ (qa * sa) + rounded @ (qb * sb)
    np.testing.assert_allclose(run(to_int8(model), values), expected, atol=1e-4)


def test_with_measured_ranges_the_clips_of_a_batch_do_not_matter_to_each_other(model: onnx.ModelProto) -> None:
    values = np.random.default_rng(2).standard_normal((2, 2, INNER)).astype(np.float32)
    values[1] *= 5
    static, dynamic = to_int8(model, {"x": (0.0, 3.0)}), to_int8(model)
    np.testing.assert_array_equal(run(static, values)[:1], run(static, values[:1]))
    assert np.abs(run(dynamic, values)[:1] - run(dynamic, values[:1])).max() > 0
    assert "DynamicQuantizeLinear" not in [node.op_type for node in static.graph.node]


def test_the_float_graph_is_left_as_it_was(model: onnx.ModelProto) -> None:
    before: Any = model.SerializeToString()
    to_int8(model)
    assert model.SerializeToString() == before
