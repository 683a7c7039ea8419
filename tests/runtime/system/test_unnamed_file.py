"""Temporary files that nobody finds after the process that wrote them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metaser.runtime.system import unnamed_file as module
from metaser.runtime.system.unnamed_file import unnamed_file

WRITES_AND_WAITS = """
from metaser.runtime.system.unnamed_file import unnamed_file
with unnamed_file() as (file, path):
    file.write(b"a voice")
    file.flush()
    print(path.read_bytes(), flush=True)
    input()
"""


@pytest.mark.parametrize("has_descriptors", [True, False])
def test_it_is_opened_again_by_its_path_until_the_block_ends(
    has_descriptors: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not has_descriptors:
        monkeypatch.setattr(module, "DESCRIPTORS", tmp_path / "none")
    with unnamed_file() as (file, path):
        file.write(b"voice")
        file.flush()
        with path.open("rb") as again:
            assert again.read(2) == b"vo"
        file.write(b"s")
        file.flush()
        assert path.read_bytes() == b"voices"
        assert path.stat().st_mode & 0o077 == 0
        assert len(list(tmp_path.iterdir())) == (not has_descriptors)
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not module.DESCRIPTORS.is_dir(), reason="without /proc/self/fd the file has a name")
def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WRITES_AND_WAITS]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "b'a voice'\n"
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []
