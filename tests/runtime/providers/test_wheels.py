"""`metaser` with ONNX Runtime's other wheels, each in an environment of its own: `make versions` runs these there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import metaser.runtime as metaser_runtime
from metaser.diagnostics.versions import onnxruntime_wheels

WHEELS = onnxruntime_wheels()
needs_openvino = pytest.mark.skipif("onnxruntime-openvino" not in WHEELS, reason="needs onnxruntime-openvino")
needs_gpu_wheel = pytest.mark.skipif("onnxruntime-gpu" not in WHEELS, reason="needs onnxruntime-gpu")
no_gpu = pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU")


def metaser(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user without a profile."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "METASER_"))}
    code = "from metaser.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**environment, "HOME": str(home)},
    )


def doctor(home: Path) -> dict[str, dict[str, str]]:
    done = metaser(home, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "This machine has everything that metaser needs.\n"
    return {check["name"]: check for check in map(json.loads, done.stdout.splitlines())}


@needs_openvino
def test_the_doctor_finds_that_openvino_starts_and_cannot_run_the_shipped_bundle(tmp_path: Path) -> None:
    finding = doctor(tmp_path)["provider openvino"]
    assert finding["state"] == "notice"
    assert finding["found"].startswith("starts; default on it cannot be run: ")
    assert finding["fix"] == "run with --provider cpu, or use a bundle that was exported for it"


@needs_openvino
def test_openvino_on_the_shipped_bundle_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    done = metaser(tmp_path, "verify", "--provider", "openvino")
    (line,) = done.stderr.splitlines()
    assert line.startswith("metaser: provider openvino cannot run encoder.onnx (OpenVINO does not support")
    assert line.endswith("run with --provider cpu, or use a bundle that was exported for it")
    assert (done.returncode, done.stdout) == (3, "")


@needs_openvino
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_openvino_runs_the_whole_of_a_portable_bundle(precision: str, tmp_path: Path) -> None:
    bundle = str(Path(os.environ["METASER_TEST_PORTABLE_BUNDLES"]) / precision)
    assert metaser(tmp_path, "verify", "--bundle", bundle, "--provider", "openvino").returncode == 0
    support = Path(metaser_runtime.__file__).parent / "data" / "demo" / "support"
    done = metaser(tmp_path, "enroll", str(support), "--bundle", bundle, "--provider", "openvino", "--json")
    assert done.returncode == 0, done.stderr
    clips = [str(clip) for clip in sorted(support.glob("*/*.flac"))]
    labels = {}
    for provider in ("cpu", "openvino"):
        done = metaser(tmp_path, "classify", *clips, "--bundle", bundle, "--provider", provider, "--json")
        labels[provider] = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert len(labels["cpu"]) == len(clips)
    assert labels["openvino"] == labels["cpu"]


@needs_gpu_wheel
@no_gpu
def test_the_doctor_finds_that_the_providers_of_the_gpu_wheel_do_not_start(tmp_path: Path) -> None:
    found = doctor(tmp_path)
    for provider, package in (("cuda", "onnxruntime-gpu[cuda,cudnn]"), ("tensorrt", "TensorRT")):
        finding = found[f"provider {provider}"]
        assert finding["state"] == "notice"
        assert finding["found"].startswith(f"provider {provider} did not start (")
        assert "cannot open shared object file" in finding["found"]
        assert package in finding["fix"]
    assert found["bundle"]["state"] == "fine"


@needs_gpu_wheel
@no_gpu
def test_auto_takes_the_cpu_if_the_gpu_wheel_has_no_gpu(tmp_path: Path) -> None:
    done = metaser(tmp_path, "verify", "--provider", "auto")
    assert done.returncode == 0, done.stderr
    assert "onnxruntime_src" not in done.stderr
