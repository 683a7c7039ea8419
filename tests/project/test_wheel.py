"""The wheel holds all three parts, the shipped material and the licences, and nothing that breaks the namespace."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from metaser.runtime import open_bundle, shipped_bundles

ROOT = Path(__file__).parents[2]
MAX_BYTES = 40_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_every_source_and_data_file_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for part in ("runtime", "export", "toolkit"):
        for path in (ROOT / part / "metaser").rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert path.relative_to(ROOT / part).as_posix() in names
    assert "metaser/runtime/data/bundles/frozen/encoder.onnx" in names
    assert "metaser/runtime/data/demo/conversation.flac" in names
    assert "metaser/__init__.py" not in names


def test_optimum_finds_our_command_in_the_wheel_and_its_namespace_stays_one(wheel: zipfile.ZipFile) -> None:
    of_optimum = [name for name in wheel.namelist() if name.startswith("optimum/")]
    assert of_optimum == ["optimum/commands/register/register_metaser.py"]


def test_the_wheel_names_every_licence_and_carries_their_texts(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    metadata = wheel.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    (expression,) = re.findall(r"^License-Expression: (.+)$", metadata, flags=re.MULTILINE)
    licences = {open_bundle(name).manifest.licence for name in shipped_bundles()}
    assert {"Apache-2.0", *licences} <= set(expression.split(" AND "))
    texts = [wheel.read(name).decode() for name in names if ".dist-info/licenses/" in name]
    assert any("Apache License" in text for text in texts)
    assert any("OpenAI" in text for text in texts)
    assert any("Silero" in text for text in texts)


def test_the_wheel_is_small_enough_to_fetch(wheel: zipfile.ZipFile) -> None:
    assert Path(str(wheel.filename)).stat().st_size <= MAX_BYTES
