"""Fixtures of the runtime's tests: the shipped bundle, a damaged copy of it, and the demonstration clips."""

import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from metaser.runtime import Engine, Profile, load_audio
from metaser.runtime.bundles.bundle import shipped_folder


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.open(provider="cpu")


@pytest.fixture(scope="session")
def support_folder() -> Path:
    return shipped_folder() / "demo" / "support"


@pytest.fixture(scope="session")
def profile(engine: Engine, support_folder: Path) -> Profile:
    return engine.enroll(support_folder)


@pytest.fixture(scope="session")
def conversation() -> npt.NDArray[np.float32]:
    return load_audio(shipped_folder() / "demo" / "conversation.flac")


@pytest.fixture(scope="session")
def truth() -> list[dict[str, object]]:
    document = json.loads((shipped_folder() / "demo" / "conversation.json").read_text())
    return document["segments"]


@pytest.fixture
def bundle_copy(tmp_path: Path, engine: Engine) -> Path:
    """A copy of the bundle that a test may damage."""
    return Path(shutil.copytree(engine.bundle.folder, tmp_path / "bundle"))
