"""`metaser doctor`: a table for people, a line of JSON for each check, and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import TypeAlias

import pytest

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Start: TypeAlias = Callable[..., Popen[str]]


@pytest.mark.usefixtures("enrolled")
def test_a_sound_machine_is_code_0(run: Run) -> None:
    done = run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("onnxruntime", "tiny reproduces its golden vectors", "6 clips of calm, keen", "that metaser needs"):
        assert text in " ".join(done.stdout.split())


def test_each_check_is_a_line_of_json(run: Run) -> None:
    done = run("doctor", "--json")
    checks = {check.pop("name"): check for check in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0
    assert {"machine", "packages", "onnxruntime", "bundle", "profile", "int8", "microphone", "energy"} <= set(checks)
    assert checks["profile"]["state"] == "notice"
    assert checks["profile"]["fix"] == "metaser enroll support/"


def test_two_onnxruntime_wheels_are_code_3_with_the_command_that_fixes_them(start: Start, tmp_path: Path) -> None:
    wheel = tmp_path / "onnxruntime_gpu-1.31.0.dist-info"
    wheel.mkdir()
    (wheel / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.0\n")
    (wheel / "RECORD").write_text("onnxruntime/__init__.py,,\n")
    with start("doctor", "--json", env={"PYTHONPATH": str(tmp_path)}) as process:
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 3
    assert errors == "metaser: fix these first: onnxruntime\n"
    (check,) = (check for check in map(json.loads, output.splitlines()) if check["name"] == "onnxruntime")
    assert "overwrite each other" in check["found"]
    assert check["fix"].startswith("pip uninstall --yes onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu")


def test_a_bad_bundle_is_code_3_and_named(run: Run, bad_bundle: tuple[Path, str]) -> None:
    folder, words = bad_bundle
    done = run("doctor", "--bundle", folder)
    assert (done.returncode, done.stderr) == (3, "metaser: fix these first: bundle\n")
    assert words in " ".join(done.stdout.split())
