"""Run the command line: in this process if only its output matters, as a new process if the system matters."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from typer.testing import CliRunner

from metaser.cli.main import app

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
Run: TypeAlias = Callable[..., CompletedProcess[str]]
Start: TypeAlias = Callable[..., Popen[str]]
RATE_HZ = 16_000
SHORT_CLIP_S = 0.02  # the tiny bundle's receptive field is 23 ms


class Process(Popen[str]):
    """A process that a failing test does not wait for."""

    def __exit__(self, kind: type[BaseException] | None, *others: Any) -> None:
        """Kill the process if the test has failed."""
        if kind is not None:
            self.kill()
        super().__exit__(kind, *others)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """The profile path of a test's commands; the file does not exist yet."""
    return tmp_path / "home" / "profile.safetensors"


@pytest.fixture
def settings(tiny_bundle: Path, profile: Path, tmp_path: Path) -> dict[str, str]:
    """Environment variables that keep a test away from the user's own profile and state."""
    own = {
        "METASER_BUNDLE": str(tiny_bundle),
        "METASER_PROFILE": str(profile),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    return {**own, "NO_COLOR": "1", "COLUMNS": "80"}


@pytest.fixture
def run(settings: dict[str, str]) -> Run:
    """`run("enroll", folder)` in this process; whatever would be a traceback fails the test."""

    def invoke(*words: str | Path) -> CompletedProcess[str]:
        arguments = [str(word) for word in words]
        result = CliRunner().invoke(app, arguments, env=settings)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def start(settings: dict[str, str]) -> Start:
    """`start("stream", file)` as a process of its own; keywords go to Popen."""

    def popen(
        *words: str | Path, env: dict[str, str] | None = None, stdout: int = PIPE, stdin: int | None = None
    ) -> Popen[str]:
        command = [sys.executable, "-m", "metaser.cli", *(str(word) for word in words)]
        return Process(
            command, env={**os.environ, **settings, **(env or {})}, stdin=stdin, stdout=stdout, stderr=PIPE, text=True
        )

    return popen


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """`refused("enroll", folder)` returns the one line with which a command refuses bad input."""

    def invoke(*words: str | Path) -> str:
        result = run(*words)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("metaser: ")
        assert result.stderr.count("\n") == 1
        return result.stderr.removeprefix("metaser: ").rstrip("\n")

    return invoke


@pytest.fixture
def enrolled(run: Run, support_folder: Path, profile: Path) -> Path:
    """The profile of the support set, calm and keen."""
    assert run("enroll", support_folder).returncode == 0
    return profile


@pytest.fixture
def conversation(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """Five seconds at 22.05 kHz in stereo: a calm and a keen utterance between silences."""
    pause = np.zeros(RATE_HZ // 2, np.float32)
    samples = np.concatenate([pause, make_clip("calm", 1.8, 7), pause, pause, make_clip("keen", 1.8, 8), pause])
    positions = np.arange(0, len(samples), RATE_HZ / 22_050)
    resampled = np.interp(positions, np.arange(len(samples)), samples)
    path = tmp_path / "conversation.flac"
    soundfile.write(path, np.stack([resampled, resampled], axis=1), 22_050)
    return path


@pytest.fixture
def bad_clip(tmp_path: Path) -> Callable[[str], tuple[Path, str]]:
    """`bad_clip("silent")` -> a clip that cannot be used, and words of the message that explains why."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, RATE_HZ).astype(np.float32)
    cases = {
        "absent": (noise, "no such file"),
        "unreadable": (noise, "cannot be read as audio"),
        "empty": (noise, "empty file"),
        "no samples": (noise[:0], "holds no samples"),
        "silent": (0 * noise, "is silent"),
        "not a number": (np.where(noise > 0.2, np.nan, noise), "NaN"),
        "clipped": (np.clip(8 * noise, -1, 1), "clipped"),
        "short": (noise[: int(SHORT_CLIP_S * RATE_HZ)], "too short"),
        "long": (noise[:601], "longer than 600 s"),
    }

    def make(kind: str) -> tuple[Path, str]:
        samples, words = cases[kind]
        path = tmp_path / "bad.wav"
        soundfile.write(path, samples, 1 if kind == "long" else RATE_HZ, subtype="FLOAT")
        if kind == "absent":
            path.unlink()
        elif kind in ("unreadable", "empty"):
            path.write_bytes(b"no audio at all" if kind == "unreadable" else b"")
        return path, words

    return make


@pytest.fixture(params=["changed byte", "missing file", "outside path", "newer version", "no manifest"])
def bad_bundle(request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path: Path) -> tuple[Path, str]:
    """A bundle that fails a check, and words of the message that explains why."""
    folder = tmp_path / "bad bundle"
    shutil.copytree(tiny_bundle, folder)
    manifest = folder / "bundle.json"
    if request.param == "changed byte":
        content = bytearray((folder / "encoder.onnx").read_bytes())
        content[-1] ^= 1
        (folder / "encoder.onnx").write_bytes(content)
    elif request.param == "missing file":
        (folder / "head.onnx").unlink()
    elif request.param == "outside path":
        manifest.write_text(manifest.read_text().replace('"LICENSE"', '"../LICENSE"'))
    elif request.param == "newer version":
        manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2'))
    else:
        manifest.unlink()
    words = {
        "changed byte": "not the file its manifest lists",
        "missing file": "lacks head.onnx",
        "outside path": "LICENSE",
        "newer version": "update metaser",
        "no manifest": "has no bundle.json",
    }
    return folder, words[request.param]


@pytest.fixture
def other_bundle(tiny_bundle: Path, tmp_path: Path) -> Callable[[str], Path]:
    """`other_bundle("model_id")` is the tiny bundle with another id."""

    def copy(field: str) -> Path:
        folder = tmp_path / f"other {field}"
        shutil.copytree(tiny_bundle, folder)
        document = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps({**document, field: "f" * 64}))
        return folder

    return copy
