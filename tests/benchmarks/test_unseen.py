"""The search for recipes that carry over to unseen languages: episodes, evaluation, one run, the report."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.research.unseen import report
from benchmarks.research.unseen.episodes import Episodes
from benchmarks.research.unseen.judge import Judge, judged, make_judges
from benchmarks.research.unseen.material import compute
from benchmarks.research.unseen.recipe import Recipe, runs
from benchmarks.research.unseen.run import Run, thin
from metaser.runtime.scoring.decision import cosines, prototype
from metaser.toolkit.data.corpora import Utterance
from metaser.toolkit.episodes.protocol import SPLITS, split_of
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings

LABELS = ("anger", "joy", "sadness", "neutral")
CPU = torch.device("cpu")


def clips(corpus: str, speakers: tuple[str, ...], takes: int = 6) -> list[Utterance]:
    return [
        Utterance(Path(f"{corpus}-{speaker}-{label}-{take}"), label, speaker, "de", corpus, label)
        for speaker, label, take in itertools.product(speakers, LABELS, range(takes))
    ]


@pytest.fixture
def heard() -> list[Utterance]:
    held_out = tuple(sorted(SPLITS["validation"]["emovo"]))
    return [
        *clips("emodb", ("03", "08", "11", "12"), takes=9),
        *clips("emovo", ("f1", "m1", *held_out), takes=9),
        *clips("casia", ("1", "2", "3", "4")),
    ]


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(same_speaker=1.0), Recipe(mixed=1.0), Recipe(free=1.0)])
def test_episodes_hold_each_class_once_and_are_split_by_speaker(recipe: Recipe) -> None:
    corpora = ("emodb", "emovo")
    everyone = [
        *clips("emodb", ("03", "08", "09", "10"), 12),
        *clips("emovo", ("f1", "m1"), 12),
        *clips("casia", ("1",)),
    ]
    recipe = Recipe(corpora=corpora, same_speaker=recipe.same_speaker, mixed=recipe.mixed, free=recipe.free)
    for rows in itertools.islice(Episodes(recipe, everyone), 20):
        support, query = (part.reshape(4, 5) for part in np.split(rows, 2))
        found = [everyone[row] for row in rows]
        assert len(set(rows.tolist())) == 40
        assert {clip.corpus for clip in found} <= set(corpora)
        for own, asked in zip(support, query, strict=True):
            assert len({everyone[row].label for row in (*own, *asked)}) == 1
        persons = [{(everyone[row].corpus, everyone[row].speaker) for row in part.ravel()} for part in (support, query)]
        if recipe.same_speaker:
            assert persons[0] == persons[1]
            assert len(persons[0]) == 1
        else:
            assert not persons[0] & persons[1]


def test_accuracies_are_those_of_plain_cosines_to_prototypes(heard: list[Utterance]) -> None:
    rows = np.flatnonzero([clip.corpus == "casia" for clip in heard])
    embeddings = torch.randn(len(heard), 8)
    own = Judge.of(heard, rows, EpisodeSettings(), CPU).accuracy(embeddings)
    sampler = EpisodeSampler([heard[row] for row in rows], EpisodeSettings(), 1)
    table = embeddings.numpy()[rows]
    expected = []
    for one in sampler.episodes(len(own)):
        classes = np.stack([prototype(table[clips]) for clips in one.support])
        expected.append(np.mean(cosines(table[one.query_indices], classes).argmax(1) == one.query_targets))
    np.testing.assert_allclose(own, expected, atol=1e-6)


def test_a_run_is_judged_on_validation_speakers_and_unseen_corpora(heard: list[Utterance]) -> None:
    names = judged(("emodb",), list(make_judges(heard, CPU)))
    assert set(names) == {"emodb validation", "emodb same", "emovo all", "emovo same", "casia all"}


def test_thinning_keeps_a_share_of_the_valid_frames_in_order() -> None:
    frames = torch.arange(40.0).reshape(2, 20, 1)
    kept, counts = thin(frames, torch.tensor([20, 10]), 0.4)
    assert counts.tolist() == [8, 4]
    for row, count, first, length in zip(kept[..., 0], counts.tolist(), (0, 20), (20, 10), strict=True):
        valid = row[:count]
        assert torch.equal(valid, valid.sort().values)
        assert len(valid.unique()) == count
        assert first <= valid.min() <= valid.max() < first + length


@pytest.mark.parametrize("head", ["mean-fc", "stats", "glu"])
def test_a_run_learns_and_leaves_frozen_layers_alone(
    head: str, heard: list[Utterance], saved: Callable[[str], Any]
) -> None:
    rng = np.random.default_rng(0)
    tones = {label: 200.0 * 2**place for place, label in enumerate(LABELS)}
    time_s = np.arange(4800) / 16_000
    sounds = [
        (clip, (np.sin(2 * np.pi * tones[clip.label] * rng.uniform(0.9, 1.1) * time_s) / 4).astype(np.float32))
        for clip in heard
    ]
    folder = saved("whisper").folder
    material = compute(sounds, folder, CPU, workers=1)
    assert all(split_of(clip) == "train" for clip in material.training)
    recipe = Recipe(
        corpora=("emodb", "emovo"), layers=2, head=head, embedding_size=8, episodes=12, gradient_accumulation=2,
        backbone_lr=1e-3, head_lr=1e-2, classification_weight=0.1,
    )  # fmt: skip
    run = Run(recipe, material, folder, CPU)
    frozen = [weight.clone() for weight in run.network.parameters() if not weight.requires_grad]
    found = run.train((3, 6))
    assert sorted(found) == [3, 6]
    assert not torch.equal(found[6], run.start)
    after = [weight for weight in run.network.parameters() if not weight.requires_grad]
    assert all(torch.equal(one, other) for one, other in zip(frozen, after, strict=True))
    judge = make_judges(material.heard, CPU)["casia all"]
    assert float(judge.accuracy(run.embed(found[6])).mean()) > 0.5


def test_the_report_pairs_arms_on_their_common_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in runs() if name.startswith(("six corpora |", "dropout 0.2 | English"))]
    accuracy = {
        "ravdess all": [0.5, 0.7],
        "casia all": [0.4, 0.4],
        "emodb validation": [0.9, 0.9],
        "emodb same": [0.5, 0.5],
    }
    better = {name: [value + 0.1 for value in values] for name, values in accuracy.items()}
    lines = [
        {
            "name": name,
            "device": "CPU",
            "accuracy": {"1 @ 0.75": {}, "2 @ 0.75": better if "dropout" in name else accuracy},
        }
        for name in names
    ]
    (tmp_path / "runs.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    monkeypatch.setattr(report, "RESEARCH", tmp_path)
    report.write_report(tmp_path / "runs.jsonl")
    arm = json.loads((tmp_path / "unseen_search.json").read_text())["arms"]["dropout 0.2"]
    assert arm["folds"] == ["English"]
    assert arm["unseen"] == {"ravdess": 70.0, "casia": 50.0}
    assert arm["difference"] == pytest.approx(10)
    assert arm["validation"] == 100.0
    assert "| dropout 0.2 | 1 | 70.0 |" in (tmp_path / "unseen_search.md").read_text()
