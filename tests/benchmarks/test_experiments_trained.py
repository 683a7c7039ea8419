"""The benchmarks' experiments with trained layers, on synthetic speech and a tiny encoder, stopped and continued."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.specs import TRAINED_ON, UNSEEN, Spec
from benchmarks.research.experiments_bench import Bench, Budget, Kept, open_trained
from benchmarks.research.experiments_trained import run
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.evaluation.tuning import tune_model
from tests.toolkit.made_speech import write_speech

TINY = Budget(
    episodes=2, validate_every=2, validation_episodes=2, test_episodes=4, tuning_episodes=4, choice_episodes=1
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, saved: Callable[[str], Any]) -> Bench:
    root = write_speech(tmp_path_factory.mktemp("speech"))
    utterances = tuple(clip for name in (*TRAINED_ON, UNSEEN) for clip in read_corpus(root / name).utterances)
    return Bench(saved("whisper").folder, root, utterances, tmp_path_factory.mktemp("kept"), TINY)


def test_trained_layers_are_compared_and_trained_once(bench: Bench, tmp_path: Path) -> None:
    text = run("trained_sampling", bench, tmp_path)
    document = json.loads((tmp_path / "experiment_trained_sampling.json").read_text())
    assert list(document["scores"]["test"]["accuracy"]) == ["frozen", "within", "free"]
    assert document["command"] == "python -m benchmarks.research.experiments_trained trained_sampling BACKBONE CORPORA"
    assert document["seeds"]["training"] == [0]
    assert "Single runs" in text
    states = [bench.folder / name / "state.pt" for name in ("within", "free")]
    written = [state.stat().st_mtime_ns for state in states]
    run("trained_sampling", bench, tmp_path)
    assert [state.stat().st_mtime_ns for state in states] == written
    again = json.loads((tmp_path / "experiment_trained_sampling.json").read_text())
    assert again["scores"] == document["scores"]
    assert again["seconds"] >= document["seconds"]


def test_whole_model_tuning_goes_on_where_it_was_stopped(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.research.experiments_whole.STEPS", (1, 2))
    tuned = []

    def stop_at_the_third(*words: Any) -> Any:
        tuned.append(words[3])
        if len(tuned) == 3:
            raise KeyboardInterrupt
        return tune_model(*words)

    monkeypatch.setattr("benchmarks.research.experiments_whole.tune_model", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run("whole_model", bench, tmp_path)
    run("whole_model", bench, tmp_path)
    assert len(tuned) == 3 * TINY.tuning_episodes + 1  # only the one that was stopped is done again

    document = json.loads((tmp_path / "experiment_whole_model.json").read_text())
    accuracy = document["scores"]["test"]["accuracy"]
    assert list(accuracy) == ["none", "pmf", "split"]
    assert document["facts"]["split"]["steps"] in (1, 2)
    untuned = bench.evaluate(open_trained(bench.train("within"))[1], Spec(UNSEEN)).accuracy.mean
    assert accuracy["none"]["urdu disjoint"]["mean"] == pytest.approx(100 * untuned, abs=0.01)


def test_results_are_kept_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    assert Kept(file).get("one", lambda: [1, 2]) == [1, 2]
    assert Kept(file).get("one", lambda: pytest.fail("worked out again")) == [1, 2]
    Kept(file).put("one", 3)
    assert json.loads(file.read_text()) == {"one": 3}
