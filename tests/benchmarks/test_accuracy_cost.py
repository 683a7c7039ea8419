"""Accuracy against cost: the mean over corpora by hand, both parts on a shipped bundle, and the report of either."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.accuracy_cost import accuracies, costs, mean_over_corpora, size_mb
from benchmarks.accuracy.accuracy_cost_report import draw, mismatches, to_markdown
from metaser.runtime.bundles.bundle import default_bundle, shipped_folder
from metaser.toolkit.evaluation.evaluate import Evaluation
from tests.toolkit.made_speech import write_speech

BUNDLE = default_bundle()


def evaluation(shares: list[float]) -> Evaluation:
    """Episodes of ten queries of which these shares are right."""
    targets = tuple(np.zeros(10, np.int64) for _ in shares)
    answers = tuple((np.arange(10) >= 10 * share).astype(np.int64) for share in shares)
    return Evaluation("a", {}, "id", ("x", "y"), targets, answers, ("",) * 10 * len(shares))


def test_corpora_count_alike_in_the_mean_and_its_interval() -> None:
    own = {
        "ravdess disjoint": [evaluation([0.4, 0.6])],
        "emodb disjoint": [evaluation([0.8, 0.8])],
        "ravdess same": [evaluation([1.0, 1.0])],
        "emodb same": [evaluation([1.0, 1.0])],
    }
    found = mean_over_corpora(own)
    # episodes of 60 and 70 per cent: a deviation of sqrt(50), over sqrt(2), times 1.96
    assert found["disjoint"] == {"mean": 65.0, "interval": pytest.approx(1.96 * 5)}
    assert found["same"] == {"mean": 100.0, "interval": 0.0}


def test_the_size_is_that_of_all_files_of_the_bundle() -> None:
    folder = shipped_folder() / "bundles" / BUNDLE
    files = sum(path.stat().st_size for path in folder.iterdir() if path.name != "bundle.json")
    assert size_mb(BUNDLE) == pytest.approx(files / 1e6)


def test_either_part_is_reported_and_both_are_drawn(tmp_path: Path) -> None:
    bundles = {BUNDLE: BUNDLE}
    accuracy = accuracies(bundles, write_speech(tmp_path), tmp_path / "cache", episodes=2)
    cost = costs(bundles, runs=2)
    assert set(cost["bundles"][BUNDLE]["ms"]) == {"1", "2"}
    command = {"command": "x"}
    assert f"| {BUNDLE} | " in to_markdown({**command, "accuracy": accuracy}, None)
    assert "peak memory, MB" in to_markdown({**command, "cost": cost}, None)
    both = {**command, "accuracy": accuracy, "cost": cost}
    assert mismatches(both) == []
    draw(both, tmp_path / "plot.png")
    assert "![accuracy over milliseconds](plot.png)" in to_markdown(both, "plot.png")


def test_parts_of_different_graphs_are_reported() -> None:
    parts = {"accuracy": {"models": {"a": "1", "b": "1"}}, "cost": {"models": {"a": "1", "b": "2"}}}
    assert mismatches(parts) == ["Accuracy and cost of b were measured with different graphs: measure both again."]
    assert mismatches({"accuracy": parts["accuracy"]}) == []
