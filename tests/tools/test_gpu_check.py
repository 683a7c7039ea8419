"""`make gpu-check` without a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_without_a_gpu_it_fails_in_one_line_and_with_exit_code_3() -> None:
    if Path("/dev/nvidiactl").exists() or Path("/dev/nvmap").exists():
        pytest.skip("this machine has an NVIDIA GPU: run make gpu-check")
    words = [sys.executable, "-m", "tools.gpu_check"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("gpu-check: no NVIDIA GPU")
    assert done.stdout == ""
