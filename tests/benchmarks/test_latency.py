"""Latency comparison: real processes in turn, a failing one, the ratios by hand, and the report."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cost.latency import THREADS, WINDOWS_S, command, measure, ratios, runs_at
from benchmarks.cost.latency_models import encoder_mb
from benchmarks.cost.latency_peer import FailedPeerError, Peer, Running, Timed, paired_ratio, start, time_in_turn
from benchmarks.cost.latency_report import FP32, INT8, draw, to_markdown
from metaser.runtime import shipped_bundles

BUNDLE = shipped_bundles()[0]


def test_a_ratio_is_the_median_over_runs_side_by_side() -> None:
    # 2, 10 and 3: a slow moment of the machine hits both of a pair; the ratio of medians would be 40 / 10
    assert paired_ratio([20, 100, 40], [10, 10, 40 / 3]) == pytest.approx(3)


def test_both_forms_are_compared_with_a_peer_as_far_as_they_ran() -> None:
    timed = {INT8: Timed(0.0, [1.0, 2.0]), "peer": Timed(0.0, [3.0, 4.0])}
    assert ratios(timed["peer"], timed) == {INT8: 2.5}
    timed[FP32] = Timed(0.0, [2.0, 4.0])
    assert ratios(timed["peer"], timed) == {INT8: 2.5, FP32: 1.25}


@pytest.mark.parametrize(("seconds", "runs"), [(0.5, 24), (1, 12), (4, 3), (10, 2)])
def test_a_window_is_run_as_often_as_fits_and_at_least_twice(seconds: float, runs: int) -> None:
    assert runs_at(seconds) == runs


def test_processes_run_in_turn_and_one_that_fails_is_named_and_left_out() -> None:
    peers = [Peer("ours", "embed", BUNDLE), Peer("absent", "embed", "/nowhere"), Peer("short", "metaser", BUNDLE)]
    with ExitStack() as stack:
        running, failures = start(peers, 1, stack)
        assert set(running) == {"ours", "short"}
        assert "no such bundle" in failures["absent"]
        timed, failures = time_in_turn(running, 60.0, runs=2)  # longer than the encoder takes in one window
        assert "the encoder takes" in failures["short"]
        timed, failures = time_in_turn(running, 0.5, runs=2)
        assert not failures
    assert len(timed["ours"].times_ms) == 2
    assert timed["ours"].peak_mb > 30


def test_a_process_that_dies_between_runs_takes_none_of_the_others_along() -> None:
    with ExitStack() as stack:
        running, _ = start([Peer("ours", "embed", BUNDLE), Peer("killed", "embed", BUNDLE)], 1, stack)
        time_in_turn(running, 0.25, runs=1)
        running["killed"]._child.kill()
        running["killed"]._child.wait()
        timed, failures = time_in_turn(running, 0.25, runs=1)
    assert failures == {"killed": "exit code -9"}
    assert set(timed) == set(running) == {"ours"}


def test_a_silent_process_is_reported_by_its_exit_code(tmp_path: Path) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexit 7\n", encoding="utf-8")
    silent.chmod(0o755)
    with pytest.raises(FailedPeerError, match="exit code 7"):
        Running(Peer("silent", "embed", BUNDLE, str(silent)), 1)


def test_peers_send_no_telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is set before the peer's ONNX Runtime is loaded."""
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    (tmp_path / "onnxruntime.py").write_text("import os\nraise SystemExit(os.environ['ORT_DISABLE_TELEMETRY'])\n")
    peer = Peer("peer", "optimum", "graph", sys.executable, {"PYTHONPATH": str(tmp_path)})
    with pytest.raises(FailedPeerError, match=r"^1$"):
        Running(peer, 1)


def test_the_report_has_every_case_and_says_what_failed(tmp_path: Path) -> None:
    peers = [Peer(INT8, "embed", BUNDLE), Peer("gone", "embed", "/nowhere")]
    found = measure(peers, [0.25, 0.5], 1, heard_s=1.0)
    assert [case["runs"] for case in found["cases"]] == [4, 2]
    document: dict[str, Any] = {
        "machine": {"processor": "a processor", "flags": [], "cores": 2, "commit": "abc"},
        "command": "python -m benchmarks.cost.latency WORK",
        "model": "a model",
        "windows_s": [0.25, 0.5],
        "threads": [1],
        "exports": {"int8": {"seconds": 10.0, "peak_mb": 1024.0}},
        "compile_s": {"0.25 s, 1 threads": 100.0},
        "encoder_mb": {INT8: encoder_mb(peers[0])},
        "load_s": {"1": found["load_s"]},
        "roofline_gops": {"1": {"int8": 100.0, "float32": 50.0}},
        "operations": {"0.25": 1e9, "0.5": 2e9},
        "precision": found["precision"],
        "failures": {"1": found["failures"]},
        "cases": found["cases"],
    }
    text = to_markdown(document, "latency.png")
    assert "|  | 0.25 s, 1 thr. | 0.5 s, 1 thr. |" in text
    assert f"| {INT8} | 1.00 | 1.00 |" in text
    case = found["cases"][0]
    share = 1.0 / (case["peers"][INT8]["median_ms"] / 1000) / 100  # 1 billion operations, at most 100 a second
    assert f"| {INT8} | {found['precision'][INT8]} | {100 * share:.0f} % |" in text
    assert found["precision"][INT8].startswith("int8, ")
    assert "Not measured on 1 threads: gone (" in text
    assert "0.25 s, 1 threads 100 s" in text
    draw(document, tmp_path / "latency.png")
    assert (tmp_path / "latency.png").stat().st_size > 1000


def test_the_command_states_a_part_of_the_grid_and_not_the_whole() -> None:
    assert command(list(WINDOWS_S), list(THREADS)) == "python -m benchmarks.cost.latency WORK"
    assert command([1.0, 2.5], [2]) == "python -m benchmarks.cost.latency WORK --seconds 1 2.5 --threads 2"
