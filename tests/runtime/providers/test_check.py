"""A provider counts only if it did the work, by profiles that onnxruntime itself wrote."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from metaser.runtime import Engine, MissingDependencyError, WorkError
from metaser.runtime.providers.check import check_profile
from metaser.runtime.providers.session import ENCODER_NAMES, PROVIDERS, open_session, session_options

AVAILABLE = onnxruntime.get_available_providers()


@pytest.fixture
def cpu_profile(engine: Engine, tmp_path: Path) -> Path:
    """What ran where when the shipped encoder ran on the CPU."""
    path = engine.bundle.folder / "encoder.onnx"
    session = open_session(path, "cpu", 1, ENCODER_NAMES, profile=tmp_path / "encoder")
    session.run(None, {"input_values": np.zeros((1, 8000), np.float32), "input_lengths": np.array([8000])})
    return Path(session.end_profiling())


def test_a_run_on_the_cpu_is_a_run_on_the_cpu(cpu_profile: Path) -> None:
    check_profile(cpu_profile, PROVIDERS["cpu"], "encoder.onnx")


@pytest.mark.parametrize("asked", ["cuda", "tensorrt", "openvino"])
def test_a_run_on_the_cpu_is_none_on_a_provider_that_was_asked_for(cpu_profile: Path, asked: str) -> None:
    with pytest.raises(
        MissingDependencyError, match=r"did not run all of encoder\.onnx \(\d+ \w+ on CPUExecutionProvider"
    ):
        check_profile(cpu_profile, PROVIDERS[asked], "encoder.onnx")


@pytest.mark.skipif("AzureExecutionProvider" not in AVAILABLE, reason="onnxruntime's CPU wheels have it")
def test_a_provider_that_is_listed_and_leaves_the_work_to_the_cpu_is_found_out(engine: Engine, tmp_path: Path) -> None:
    options = session_options(1)
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "encoder")
    providers = ["AzureExecutionProvider", "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(engine.bundle.folder / "encoder.onnx", options, providers=providers)
    session.run(None, {"input_values": np.zeros((1, 8000), np.float32), "input_lengths": np.array([8000])})
    assert session.get_providers() == providers
    with pytest.raises(MissingDependencyError, match="AzureExecutionProvider was requested but did not run all"):
        check_profile(Path(session.end_profiling()), "AzureExecutionProvider", "encoder.onnx")


def test_shapes_may_stay_on_the_cpu_and_products_may_not(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    node = '{{"cat": "Node", "args": {{"provider": "{}", "op_name": "{}"}}}}'
    light = [node.format("CUDAExecutionProvider", "MatMul"), node.format("CPUExecutionProvider", "Shape")]
    profile.write_text(f"[{', '.join(light)}]")
    check_profile(profile, "CUDAExecutionProvider", "head.onnx")
    for operator in ("FusedMatMul", "Gemm", "NhwcFusedConv", "MultiHeadAttention", "DynamicQuantizeLinear"):
        profile.write_text(f"[{', '.join([*light, node.format('CPUExecutionProvider', operator)])}]")
        with pytest.raises(MissingDependencyError, match=f"1 {operator} on CPUExecutionProvider"):
            check_profile(profile, "CUDAExecutionProvider", "head.onnx")


def test_a_profile_that_proves_nothing_is_refused(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text("[]")
    with pytest.raises(MissingDependencyError, match=r"ran nothing of head\.onnx"):
        check_profile(profile, "CUDAExecutionProvider", "head.onnx")
    profile.write_text("[{")
    with pytest.raises(WorkError, match="cannot be read"):
        check_profile(profile, "CUDAExecutionProvider", "head.onnx")


def test_the_cpu_needs_no_proof_and_leaves_no_profile(engine: Engine, tmp_path: Path) -> None:
    before = set(tmp_path.parent.rglob("*.json"))
    opened = Engine.open(engine.bundle.folder, provider="cpu")
    assert opened.verify().passed
    assert set(tmp_path.parent.rglob("*.json")) == before


@pytest.mark.skipif(PROVIDERS["openvino"] not in AVAILABLE, reason="needs onnxruntime-openvino")
def test_openvino_is_proved_by_a_run(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("onnx")  # the tiny bundle is made with it
    engine = Engine.open(request.getfixturevalue("tiny_bundle"), provider="openvino")
    assert engine.provider == "openvino"
    assert engine.verify().passed


@pytest.mark.skipif(PROVIDERS["openvino"] not in AVAILABLE, reason="needs onnxruntime-openvino")
def test_what_openvino_cannot_run_is_one_line_with_the_way_out(engine: Engine) -> None:
    with pytest.raises(
        MissingDependencyError, match=r"encoder\.onnx \(.*Attention\): run with --provider cpu"
    ) as caught:
        Engine.open(engine.bundle.folder, provider="openvino")
    assert "\n" not in str(caught.value)
