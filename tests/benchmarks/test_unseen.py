"""The search for recipes that carry over to unseen languages: episodes, evaluation, one run, the report."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.research.unseen import distil, distil_report, report
from benchmarks.research.unseen.episodes import Episodes
from benchmarks.research.unseen.judge import Judge, judged, make_judges
from benchmarks.research.unseen.material import Clip, Material, compute
from benchmarks.research.unseen.recipe import LANGUAGES, Recipe, runs
from benchmarks.research.unseen.run import Run, thin
from benchmarks.research.unseen.student import embeddings_of, joined
from benchmarks.research.unseen.teachers import Teacher, equal, for_default, teachers, without
from metaser.runtime.scoring.decision import cosines, prototype
from metaser.toolkit.data.corpora import Utterance
from metaser.toolkit.episodes.protocol import SPLITS, split_of
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.checkpoint import CheckpointMetadata, load_checkpoint, save_checkpoint
from metaser.toolkit.model.network import ProtoNet, make_head

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


def sounds_of(heard: list[Utterance]) -> list[Clip]:
    """A tone for each clip; its pitch says the class."""
    rng = np.random.default_rng(0)
    tones = {label: 200.0 * 2**place for place, label in enumerate(LABELS)}
    time_s = np.arange(4800) / 16_000
    return [
        (clip, (np.sin(2 * np.pi * tones[clip.label] * rng.uniform(0.9, 1.1) * time_s) / 4).astype(np.float32))
        for clip in heard
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
    folder = saved("whisper").folder
    material = compute(sounds_of(heard), folder, CPU, workers=1)
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


def test_a_student_approaches_its_teachers_and_is_saved(
    heard: list[Utterance], saved: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Recipe(corpora=("emodb", "emovo"), layers=2, embedding_size=8, episodes=10, backbone_lr=1e-3, head_lr=1e-2)
    every = {"clean": Teacher(short), "augmented": Teacher(replace(short, seed=1), is_clean=False)}
    own = replace(short, episodes=30)
    monkeypatch.setattr(distil, "teachers", lambda: every)
    monkeypatch.setattr(distil, "LANGUAGES", {})
    monkeypatch.setattr(
        distil, "plans", lambda: [distil.Plan("", own, for_default(every)), distil.Plan(" short", short, equal(every))]
    )
    monkeypatch.setattr(distil, "unpack", lambda _: sounds_of(heard))
    backbone = saved("whisper").folder
    start = ProtoNet(load_backbone(backbone, 2), make_head("mean-fc", load_backbone(backbone, 2).width, 8))
    save_checkpoint(tmp_path / "start", start, CheckpointMetadata(source="a model", licence="MIT"))
    work = tmp_path / "work"
    work.mkdir()
    distil.distil(backbone, tmp_path / "start", work, CPU, workers=1)
    student, metadata = load_checkpoint(work / "student")
    assert (metadata.corpora, metadata.languages) == (("emodb", "emovo"), ("de",))
    outcome = json.loads((work / "distilled.json").read_text())
    assert list(outcome) == ["start", "joined", "student", "joined short", "student short"]
    material: Material = torch.load(work / "heard.pt", weights_only=False).material
    weights = for_default(every)
    rows = [(weights[name], torch.load(work / "teachers" / f"{name}.pt")) for name in weights]
    joint, wanted = joined(rows, [clip.corpus != "casia" for clip in material.heard], 8)
    np.testing.assert_allclose((joint @ joint.T), sum(w * r @ r.T for w, r in rows) / sum(weights.values()), atol=1e-5)
    found = embeddings_of(student, material)
    assert float((found * wanted).sum(1).mean()) > 0.9


def test_each_teacher_is_another_one_and_none_hears_a_language_that_is_left_out() -> None:
    assert len(teachers()) == len({repr(one) for one in teachers().values()}) == 59
    assert for_default(teachers())["ravdess+nemo augmented"] == 2
    assert for_default(teachers())["crema-d+emovo"] == 1
    assert not any("emovo" in one.recipe.corpora for one in without("Italian").values())


def test_the_report_of_a_distillation_pairs_by_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judges = {f"{corpus} all": [0.5, 0.7] for corpora in LANGUAGES.values() for corpus in corpora}
    judges |= {"casia all": [0.4, 0.6], "emodb validation": [0.9, 0.9]}
    better = {name: [value + 0.1 for value in values] for name, values in judges.items()}
    outcome = {"start": judges, "joined": better, "student": better}
    for language in LANGUAGES:
        outcome |= {f"{name} without {language}": judges for name in ("reference", "joined")}
        outcome[f"student without {language}"] = better
    (tmp_path / "distilled.json").write_text(json.dumps(outcome))
    written: dict[str, Any] = {}
    monkeypatch.setattr(distil_report, "write_result", lambda _, figures, __: written.update(figures))
    distil_report.write_distilled(tmp_path / "distilled.json")
    assert written["accuracy"]["start"] == {"casia all": 50.0, "emodb validation": 90.0}
    assert written["minus start"]["student"]["casia all"] == {"difference": 10.0, "interval": 0.0}
    assert written["left out"]["Korean emotiontts"]["joined minus reference"]["difference"] == 0
    assert written["left out"]["Korean emotiontts"]["student minus reference"]["difference"] == 10


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
