"""Cold start: the measured times, and the comparison with PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cost.cold_start import COMMAND, LIBRARY, PEER, cases_of, figures_of, measure, to_markdown
from benchmarks.cost.started_process import Started, run_process
from metaser.runtime import shipped_bundles


def test_a_process_is_timed_to_its_first_line_and_its_end() -> None:
    code = "import time; print('first', flush=True); time.sleep(0.4); print('last')"
    started = run_process([sys.executable, "-c", code], {})
    assert started.first_line == "first\n"
    assert 0 < started.first_line_s < started.seconds - 0.3


def test_memory_is_the_process_s_own_and_not_that_of_the_one_that_starts_it() -> None:
    held = np.ones(25_000_000)  # 200 MB here
    started = run_process([sys.executable, "-c", "block = b'x' * 50_000_000; print(len(block))"], {})
    assert 50 < started.peak_mb < 100
    assert len(held)


def test_a_process_that_fails_is_no_figure() -> None:
    with pytest.raises(AssertionError, match="went wrong"):
        run_process([sys.executable, "-c", "print('line'); raise SystemExit('went wrong')"], {})


def test_pytorch_is_compared_by_runs_side_by_side_and_by_memory() -> None:
    started = {
        f"{COMMAND}, small": [Started(1.0, 1.1, 100.0, ""), Started(2.0, 2.1, 110.0, "")],
        f"{LIBRARY}, small": [Started(0.5, 0.6, 90.0, ""), Started(1.0, 1.1, 100.0, "")],
        f"{PEER}, as small": [Started(4.0, 4.4, 550.0, ""), Started(12.0, 12.2, 500.0, "")],
    }
    found = figures_of(started)[f"{PEER}, as small"]
    assert found["times_longer_than"] == {COMMAND: 5.0, LIBRARY: 10.0}  # of 4 and 6, of 8 and 12
    assert found["times_the_memory_of"] == {COMMAND: 5.0, LIBRARY: 5.5}


def test_every_shipped_bundle_gives_a_label_by_command_and_library(tmp_path: Path) -> None:
    cases = cases_of({}, tmp_path)
    assert len(cases) == 2 * len(shipped_bundles())
    one = {name: words for name, words in cases.items() if name.endswith(shipped_bundles()[0])}
    started = measure(one, runs=1)
    by_command, by_library = (own[0].first_line for own in started.values())
    assert f'"label": "{by_library.strip()}"' in by_command or f'"label":"{by_library.strip()}"' in by_command
    document = {
        "machine": {"processor": "a processor", "flags": [], "cores": 2, "commit": "abc"},
        "command": "x",
        "runs": 1,
        "matrix_product_ms": [12.0, 13.0],
        "cases": figures_of(started),
    }
    assert f"| {COMMAND}, {shipped_bundles()[0]} | " in to_markdown(document)
