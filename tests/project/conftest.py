"""A user's folder, and running commands in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "runtime" / "metaser" / "runtime" / "data" / "demo"


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A user's folder: support clips, a clip and a recording."""
    shutil.copytree(DEMO / "support", tmp_path / "support")
    shutil.copy(min((DEMO / "support" / "joy").iterdir()), tmp_path / "clip.wav")  # read by its content
    shutil.copy(DEMO / "conversation.flac", tmp_path / "recording.wav")
    return tmp_path


@pytest.fixture
def execute() -> Callable[[list[str], Path], str]:
    """`execute(words, folder)` returns what the command prints, with a profile in the folder; it must succeed."""

    def run(words: list[str], folder: Path) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"METASER_PROFILE": str(folder / "profile.safetensors"), "XDG_STATE_HOME": str(folder / "state")}
        env = {**os.environ, "PATH": path, **own}
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    return run
