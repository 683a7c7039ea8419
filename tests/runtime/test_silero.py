"""The speech detector runs on one thread, and what makes it do so leaves no trace."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

THREADS = """
import os
from pathlib import Path
from metaser.runtime.silero import LIMIT, new_detector
before = os.environ.get(LIMIT), len(list(Path("/proc/self/task").iterdir()))
new_detector().process_samples([0.0] * 512)
print((os.environ.get(LIMIT), len(list(Path("/proc/self/task").iterdir()))) == before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads by /proc")
@pytest.mark.parametrize("variables", [{}, {"OMP_THREAD_LIMIT": "7"}])
def test_a_detector_starts_no_thread_and_leaves_the_environment_alone(variables: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads by /proc")
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_a_detector_starts_no_thread_where_pytorch_was_loaded_before() -> None:
    program = f"import torch\n{THREADS}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
