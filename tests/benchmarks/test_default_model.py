"""The choice of the default model's recipe and its accuracy report, on synthetic speech and a tiny encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.default_accuracy import Models, report, sex_of, to_markdown
from benchmarks.accuracy.specs import DEVELOP, PROTOCOL, TESTS
from benchmarks.research import default_training
from benchmarks.research.default_training import ARMS, Places, compare, config_of, judged_on
from metaser.toolkit.episodes.protocol import ROLES, role_of, split_of
from metaser.toolkit.training.train import train
from tests.toolkit.made_speech import write_speech

SMALL: dict[str, Any] = {
    "data": {"crop_s": 0.2, "cache": "disk"},
    "model": {"layers": 2, "embedding_size": 8},
    "episodes": {"count": 3, "k_shot": 2, "n_query": 2},
    "augment": {"reverberation_chance": 0.0},
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def best(corpora: Path, saved: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the best checkpoint of an arm."""
    config = config_of(SMALL, saved("whisper").folder, corpora, tmp_path_factory.mktemp("arms") / "run", "emodb")
    return train(config, lambda _: None)


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_is_a_training_that_can_be(name: str, tmp_path: Path) -> None:
    config = config_of(ARMS[name], Path("backbone"), Path("corpora"), tmp_path, "ravdess")
    assert [folder.name for folder in config.data.corpora] == ["emodb", "nemo"]


def test_the_reference_does_not_move_with_the_recipe_that_was_chosen(tmp_path: Path) -> None:
    reference = config_of(ARMS["reference"], Path("backbone"), Path("corpora"), tmp_path, "emodb")
    assert (reference.model.whitening_power, reference.optimiser.wise_ft_alpha, reference.optimiser.ema_decay) == (
        0.25,
        1,
        0,
    )
    longer = config_of(ARMS["300 episodes, half whitened"], Path("backbone"), Path("corpora"), tmp_path, "emodb")
    assert (longer.model.whitening_power, longer.optimiser.ema_decay, longer.episodes.count) == (0.25, 0.98, 300)


def test_no_test_speaker_is_heard_and_nobody_who_trained(corpora: Path) -> None:
    heard = {(clip.corpus, split_of(clip)) for clip in judged_on(corpora, "emodb")}
    validation = {("ravdess", "validation"), ("nemo", "validation"), ("emodb", "validation")}
    assert heard == validation | {("emodb", "train")}
    assert {(clip.corpus, split_of(clip)) for clip in judged_on(corpora, None)} == validation


def test_arms_are_compared_with_the_frozen_encoder(
    best: Path, corpora: Path, saved: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_training, "EPISODES", 3)
    monkeypatch.setattr(default_training, "COMMON", SMALL)
    places = Places(saved("whisper").folder, corpora, tmp_path)
    for name in ("reference", "one way"):
        places.train(name, "nemo")
    assert not places.finished("emodb")
    found = compare({"whole": best.parent}, places)
    assert set(found["arms"]["nemo"]["accuracy"]) == {"frozen", "reference", "one way"}
    assert set(found["long"]["difference"]) == {"whole"}
    assert found["training"]["reference, without nemo"]["episodes"] == 3
    text = default_training.to_markdown(found)
    assert "## Polish held out" in text
    assert "| minus reference | emodb disjoint | ravdess disjoint | nemo disjoint |" in text


def test_the_report_has_every_figure_and_every_test_speaker(
    best: Path, corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.accuracy.default_accuracy.EPISODES", 3)
    figures = report(Models(str(best), str(best), {"another": str(best)}), corpora, tmp_path, 2, TESTS)
    assert set(figures["scores"]) == {"5 shots", "1 shot", "5 shots, tuned"}
    difference = figures["scores"]["5 shots"]["difference"]["default"]
    assert difference["urdu disjoint"]["mean"] == 0  # from itself
    assert set(figures["by speaker"]["ravdess disjoint"]["speakers"]) <= {"ravdess/19", "ravdess/20"}
    text = to_markdown(figures, "command", "tiny")
    assert "## 5 shots, tuned" in text
    assert "| tiny |" in text
    assert "| default |" not in text


def test_sexes_are_those_the_corpora_state() -> None:
    names = ["ravdess/19", "ravdess/20", "emodb/15", "emodb/16", "urdu/M3", "urdu/F1", "nemo/SM0", "emovo/f3"]
    expected = ["male", "female", "male", "female", "male", "female", "unknown", "female"]
    assert [sex_of(*name.split("/")) for name in names] == expected


def test_choices_use_no_test_speaker_and_no_corpus_for_reports() -> None:
    assert {spec.split for spec in DEVELOP} == {"validation"}
    assert "report" not in {role_of(spec.corpus) for spec in DEVELOP}
    assert {spec.corpus for spec in PROTOCOL} >= ROLES.keys()
    assert {spec.corpus for spec in PROTOCOL if spec.split == "all"} == ROLES.keys()
