"""The graph for TensorRT: what the audit refuses, and the results of every architecture in its static window."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from metaser.export import tensorrt
from metaser.export.bundle import ExportSettings, export_bundle
from metaser.export.command import ExportRequest, run_export
from metaser.export.golden import voiced_waveform
from metaser.export.precision import contents
from metaser.export.source import Source, open_source
from metaser.export.tensorrt import for_tensorrt, measure_tensorrt_parity, static_graph
from metaser.export.tensorrt_audit import audit
from metaser.export.tensorrt_support import SUPPORTED
from metaser.runtime import Engine, InputError, WorkError, open_bundle
from metaser.runtime.bundles.bundle import TENSORRT_GRAPH
from metaser.runtime.bundles.manifest import Precision
from metaser.runtime.model.model import Model
from metaser.runtime.providers.session import ENCODER_NAMES, HEAD_NAMES, open_session
from metaser.runtime.scoring.decision import unit

LAYERS = 2
WINDOW = 24_000
pytestmark = pytest.mark.usefixtures("traced_once")
FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64


def small_graph(
    *nodes: onnx.NodeProto, kind: int = FLOAT, shape: tuple[int | str, ...] = (2, 3), opset: int = 20
) -> onnx.ModelProto:
    """`nodes` from x, of the given type and shape, to y; b is a second input like x, and axes is [0]."""
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "b")]
    y = helper.make_empty_tensor_value_info("y")
    axes = helper.make_tensor("axes", INT64, [1], [0])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    used = {node.domain for node in nodes}
    opsets = [item for item in opsets if item.domain in {"", *used}]
    return helper.make_model(helper.make_graph(nodes, "g", values, [y], [axes]), opset_imports=opsets)


def node(operator: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), ["y"], name="n", **attributes)


def test_a_graph_of_supported_operators_has_no_problem() -> None:
    assert audit(small_graph(node("Add", "x", "b"))) == []
    assert audit(small_graph(node("ReduceSum", "x", "axes"))) == []
    assert audit(small_graph(node("Softmax", "x"))) == []


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (small_graph(node("NonZero", "x")), "NonZero (n) is not in onnx-tensorrt docs/operators.md, TensorRT 10.15"),
        (small_graph(node("Det", "x"), shape=(3, 3)), "Det (n) is not in"),
        (small_graph(node("BiasGelu", "x", "b", domain="com.microsoft")), "operator set com.microsoft"),
        (small_graph(node("Add", "x", "b"), opset=23), "opset 23, outside 9 to 20"),
        (small_graph(node("Add", "x", "b"), shape=(2, "samples")), "y has no static shape"),
        (small_graph(node("Clip", "x", "", ""), kind=INT64), "Clip (n) takes x in int64"),
        (small_graph(node("ReduceSum", "x", "b"), kind=INT64, shape=(1,)), "takes b for a shape or axes"),
        (small_graph(node("Softmax", "x"), kind=HALF), "Softmax (n) computes in float16"),
        (small_graph(node("Sqrt", "x"), kind=TensorProto.DOUBLE), "Sqrt (n) takes x in double"),
        (small_graph(node("Add", "x", "axes")), "shapes cannot be inferred"),
    ],
)
def test_the_audit_names_what_tensorrt_would_not_take(model: onnx.ModelProto, problem: str) -> None:
    assert any(problem in found for found in audit(model)), audit(model)


def test_layer_norm_is_refused_in_float16_and_with_more_than_one_output() -> None:
    scale = helper.make_tensor("scale", HALF, [3], [1.0] * 3)
    model = small_graph(node("LayerNormalization", "x", "scale"), kind=HALF)
    model.graph.initializer.append(scale)
    assert audit(model) == ["LayerNormalization (n) computes in float16, where its sums overflow"]
    model = small_graph(helper.make_node("LayerNormalization", ["x", "b"], ["y", "mean"], name="n"), shape=(3,))
    assert audit(model) == [
        "LayerNormalization (n) outputs its statistics, and TensorRT supports only its first output"
    ]


def test_the_dynamic_graph_is_no_graph_for_tensorrt(graph: Any) -> None:
    problems = audit(graph)
    assert any("opset 23" in problem for problem in problems)
    assert any("no static shape" in problem for problem in problems)
    assert any("Attention" in problem and "is not in" in problem for problem in problems)


@pytest.fixture(scope="session")
def static(pretrained: Any) -> onnx.ModelProto:
    """The static graph of every architecture in turn."""
    return static_graph(pretrained.backbone(LAYERS), WINDOW)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_architecture_passes_the_audit_and_equals_pytorch_in_its_window(
    pretrained: Any, static: onnx.ModelProto, tmp_path: Path, precision: Precision
) -> None:
    backbone = pretrained.backbone(LAYERS)
    model = for_tensorrt(static, precision)  # raises if the audit finds something
    onnx.checker.check_model(model, full_check=True)
    operators = contents(model)["operators"]
    assert operators["Softmax"] == LAYERS
    assert not {"IsNaN", "Attention", "Shape", "Range", "Loop", "If"} & set(operators)
    assert set(operators) <= set(SUPPORTED)
    path = tmp_path / "static.onnx"
    path.write_bytes(model.SerializeToString())
    parity = measure_tensorrt_parity(path, backbone, precision)
    assert parity.window_samples == WINDOW
    assert parity.lengths_samples[0] == backbone.receptive_field_samples
    assert {WINDOW - 1, WINDOW} <= set(parity.lengths_samples)


@pytest.fixture(scope="module")
def source(whisper: Any) -> Source:
    return open_source(str(whisper.folder), 1, "MIT")


@pytest.fixture(scope="module")
def bundle(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tensorrt") / "bundle"
    settings = ExportSettings("tiny", "fp16", "metaser export tiny --tensorrt", tensorrt_window_s=2.0)
    export_bundle(source, out, settings, print)
    return out


def test_the_manifest_lists_the_graph_what_it_holds_and_how_near_it_is(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    assert manifest.files[TENSORRT_GRAPH].role == "tensorrt"
    assert manifest.operators[TENSORRT_GRAPH]["operators"]["Softmax"] == 1
    assert manifest.operators[TENSORRT_GRAPH]["weight_bytes"]["float16"] > 0
    assert manifest.parity["tensorrt"]["window_samples"] == 32_000
    assert manifest.parity["tensorrt"]["mean_frame_cosine_min"] >= 0.999
    assert "tensorrt" not in manifest.providers  # `auto` never begins a build of minutes


def static_engine(bundle: Path) -> Engine:
    """The engine as TensorRT gets it, on the CPU."""
    encoder = open_session(bundle / TENSORRT_GRAPH, "cpu", 1, ENCODER_NAMES)
    head = open_session(bundle / "head.onnx", "cpu", 1, HEAD_NAMES)
    return Engine(Model(open_bundle(bundle), encoder, head, "cpu"))


@pytest.mark.parametrize("samples", [1_040, 16_001, 31_999, 32_000])
def test_clips_up_to_the_window_give_what_the_dynamic_graph_gives(bundle: Path, samples: int) -> None:
    clip = voiced_waveform(samples)
    static, dynamic = static_engine(bundle), Engine.open(bundle, provider="cpu")
    frames, expected = static.model.frames(clip), dynamic.model.frames(clip)
    assert frames.shape == expected.shape
    np.testing.assert_allclose(frames, expected, atol=0.02)
    assert unit(static.embed(clip)) @ unit(dynamic.embed(clip)) >= 0.9999


def test_longer_clips_are_cut_in_windows_and_averaged(bundle: Path) -> None:
    engine = static_engine(bundle)
    clip = voiced_waveform(70_000)
    parts = np.stack([engine.embed(part) for part in np.array_split(clip, 3)])  # 70 000 samples in windows of 32 000
    np.testing.assert_allclose(engine.embed(clip), parts.mean(axis=0), atol=1e-6)
    assert engine.verify().passed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "int8", "tensorrt": True}, "--tensorrt does not go with --int8"),
        ({"window_s": 3.0}, "--window is for --tensorrt"),
        ({"longest_s": 2.0}, "--longest 2: give 3, the window of a stream, to 10 seconds"),
        ({"longest_s": float("nan")}, "--longest nan"),
        ({"tensorrt": True, "window_s": 0.0}, r"--window 0: give 1\.5 to 10 seconds"),
        ({"tensorrt": True, "window_s": 11.0}, "--window 11"),
        ({"tensorrt": True, "window_s": float("nan")}, "--window nan"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_the_model_is_loaded(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_export(ExportRequest(model="nowhere", out=tmp_path / "out", **changes), print)


def test_a_graph_that_the_audit_refuses_is_not_written(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "NEWEST_OPSET", 21)
    settings = ExportSettings("tiny", "fp32", "metaser export", tensorrt_window_s=2.0)
    with pytest.raises(WorkError, match="TensorRT would not take this encoder: it is in opset 21"):
        export_bundle(source, tmp_path / "out", settings, print)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_with_the_graph_is_replaced_by_force(bundle: Path, source: Source, tmp_path: Path) -> None:
    out = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    export_bundle(source, out, ExportSettings("tiny", "fp32", "metaser export", force=True), print)
    assert TENSORRT_GRAPH not in open_bundle(out).manifest.files
