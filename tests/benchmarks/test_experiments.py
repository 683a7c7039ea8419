"""The benchmarks' experiments on synthetic frames: each runs, and their arithmetic is correct."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch

from benchmarks.accuracy.scores import difference, markdown, score, seed_interval
from benchmarks.accuracy.specs import TRAINED_ON, UNSEEN, Spec
from benchmarks.research.experiments import EXPERIMENTS, conditions
from benchmarks.research.experiments_frames import FrameStore, mask_of, open_store
from benchmarks.research.experiments_frozen import ADAPTATIONS, coral, standardise_each, times_covariance
from benchmarks.research.experiments_lab import Budget, Lab, Recipe
from benchmarks.research.experiments_outcome import write
from benchmarks.research.experiments_training import lr_factor, train
from metaser.toolkit.data.corpora import Utterance
from metaser.toolkit.episodes.protocol import SPLITS
from metaser.toolkit.model.network import identity_head

if TYPE_CHECKING:
    from tests.toolkit.conftest import Pretrained

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]

TINY = Budget(
    seeds=2, episodes=4, validate_every=2, validation_episodes=2, test_episodes=3, tuning_episodes=2, choice_episodes=1
)
WIDTH = 12
LAYERS = 3
EMOTIONS = ("anger", "fear", "joy", "neutral", "sadness")
TRAINING_SPEAKERS = {"ravdess": range(1, 6), "emodb": ("03", "08", "09", "10"), "nemo": ("AO0", "KR0", "MG0", "NS0")}
CLIPS = 10


def people_of(corpus: str) -> list[str]:
    """Speakers of every part of the protocol."""
    if corpus == UNSEEN:
        return [f"F{number}" for number in range(1, 7)]
    held_out = [speaker for split in SPLITS.values() for speaker in sorted(split[corpus])]
    return [f"{speaker:0>2}" for speaker in TRAINING_SPEAKERS[corpus]] + held_out


@pytest.fixture(scope="module")
def store() -> FrameStore:
    """Clips of all four corpora whose frames have a direction per emotion, and as many random dimensions."""
    utterances = tuple(
        Utterance(Path(f"{corpus}-{speaker}-{label}-{take}.wav"), label, speaker, "xx", corpus, label)
        for corpus in (*TRAINED_ON, UNSEEN)
        for speaker in people_of(corpus)
        for label in EMOTIONS
        for take in range(CLIPS)
    )
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 9, len(utterances))
    means = np.eye(len(EMOTIONS), WIDTH)[[EMOTIONS.index(clip.label) for clip in utterances]]
    means[:, len(EMOTIONS) :] = rng.standard_normal((len(utterances), WIDTH - len(EMOTIONS)))  # not informative
    frames = np.repeat(means, lengths, axis=0) + rng.standard_normal((lengths.sum(), WIDTH))
    by_layer = means[:, None] + rng.standard_normal((len(utterances), LAYERS, WIDTH))
    digests = tuple(f"{number:064x}" for number in range(len(utterances)))
    return FrameStore(
        utterances, digests, torch.from_numpy(frames).half(), lengths, by_layer.astype(np.float32), layer=2
    )


@pytest.fixture(scope="module")
def lab(store: FrameStore) -> Lab:
    return Lab(store, TINY)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_and_writes_its_table(
    lab: Lab, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.research.experiments_tuning.RATES", (1e-3,))
    monkeypatch.setattr("benchmarks.research.experiments_tuning.STEPS", (1, 2))
    text = write(tmp_path, name, EXPERIMENTS[name](lab), conditions(name, TINY, 1.0))
    document = json.loads((tmp_path / f"experiment_{name}.json").read_text())
    assert document["scores"]
    assert document["command"] == f"python -m benchmarks.research.experiments {name} BACKBONE CORPORA"
    for scores in document["scores"].values():
        for arm in scores["accuracy"].values():
            assert all(0 <= entry["mean"] <= 100 for entry in arm.values())
    assert "| accuracy |" in text == (tmp_path / f"experiment_{name}.md").read_text()
    for picture in (line.partition("](")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_no_test_speaker_and_no_clip_of_the_unseen_corpus_trains_or_validates(lab: Lab) -> None:
    seen = {split: {(clip.corpus, clip.speaker) for clip in lab.store.subset(lab.rows(TRAINED_ON, split))}
            for split in ("train", "validation", "test")}  # fmt: skip
    assert not seen["train"] & seen["validation"]
    assert not (seen["train"] | seen["validation"]) & seen["test"]
    assert not len(lab.rows([UNSEEN], "train")) + len(lab.rows([UNSEEN], "validation"))


def test_training_repeats_is_remembered_and_depends_on_the_seed(store: FrameStore) -> None:
    first, again = Lab(store, TINY), Lab(store, TINY)
    head = train(first, Recipe(), 0).head
    assert train(first, Recipe(), 0).head is head
    for other, same in ((train(again, Recipe(), 0).head, True), (train(again, Recipe(), 1).head, False)):
        weights = zip(head.state_dict().values(), other.state_dict().values(), strict=True)
        assert all(torch.equal(one, another) for one, another in weights) == same


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(objective="labels"), Recipe(adversary=0.1)])
def test_training_learns_what_there_is_to_learn(store: FrameStore, recipe: Recipe) -> None:
    lab = Lab(store, Budget(episodes=90, validate_every=30, validation_episodes=20, test_episodes=40))
    trained = train(lab, recipe, 0)
    spec = Spec(UNSEEN)
    before = lab.evaluate_head(identity_head(WIDTH), spec).accuracy
    assert lab.evaluate_head(trained.head, spec).accuracy.mean > before.high
    assert len(trained.validation) == 3
    assert (trained.domain_accuracy is None) == (recipe.adversary == 0)


def test_the_rate_rises_then_falls_to_zero() -> None:
    factors = [lr_factor(step / 100) for step in range(101)]
    assert factors[0] < 0.1
    assert max(factors) == pytest.approx(1) == factors[10]
    assert factors[-1] == pytest.approx(0)


def test_frames_are_taken_whole_or_cropped(store: FrameStore) -> None:
    rows = np.array([3, 0])
    starts = store.lengths.cumsum() - store.lengths
    frames, lengths = store.take(rows)
    assert lengths.tolist() == store.lengths[rows].tolist()
    for own, row, length in zip(frames, rows, lengths, strict=True):
        torch.testing.assert_close(own[:length], store.frames[starts[row] : starts[row] + length].float())
    cropped, lengths = store.take(rows, np.array([1, 2]), 2)
    assert lengths.tolist() == [2, 2]
    torch.testing.assert_close(cropped[1], store.frames[starts[0] + 2 : starts[0] + 4].float())
    assert mask_of(np.array([1, 3])).tolist() == [[1, 0, 0], [1, 1, 1]]


def test_the_identity_head_embeds_the_mean_frame_in_any_batch(store: FrameStore) -> None:
    rows = np.array([7, 2, 150])
    starts = store.lengths.cumsum() - store.lengths
    for own, row in zip(store.embed(identity_head(WIDTH), rows), rows, strict=True):
        mean = store.frames[starts[row] : starts[row] + store.lengths[row]].float().mean(0)
        np.testing.assert_allclose(own, mean.numpy(), atol=1e-6)


def test_a_store_holds_the_averaged_frames_of_its_layer_and_is_kept(
    whisper: Pretrained, tmp_path: Path, make_clip: ClipMaker
) -> None:
    for label in ("calm", "keen"):
        (tmp_path / "corpus" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "corpus" / label / "a.wav", make_clip(label, 0.5, 0), 16_000)
    store = open_store(whisper.folder, 2, [tmp_path / "corpus"], tmp_path / "cache")
    assert store.lengths.tolist() == [7, 7]  # 25 frames in fours
    waveform = torch.from_numpy(soundfile.read(tmp_path / "corpus" / "calm" / "a.wav", dtype="float32")[0])[None]
    with torch.inference_mode():
        frames, _ = whisper.backbone(2)(waveform, torch.tensor([waveform.shape[1]]))
    np.testing.assert_allclose(store.frames[1].numpy(), frames[0, 4:8].mean(0), atol=2e-3)
    np.testing.assert_allclose(store.frames[6].numpy(), frames[0, 24], atol=2e-3)
    np.testing.assert_allclose(store.means[0, 1], frames[0].mean(0), atol=1e-5)
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    again = open_store(whisper.folder, 2, [tmp_path / "corpus"], tmp_path / "cache")
    assert torch.equal(again.frames, store.frames)
    assert file.stat().st_mtime_ns == written


def test_coral_gives_the_support_the_mean_and_much_of_the_covariance_of_the_queries() -> None:
    rng = np.random.default_rng(0)
    support, query = rng.standard_normal((4000, 2)), rng.standard_normal((4000, 2)) @ np.diag([1.0, 3.0]) + 5
    adapted, same = coral(support, query)
    assert same is query
    np.testing.assert_allclose(adapted.mean(0), query.mean(0), atol=1e-9)
    # half way to a multiple of the identity: 1 and 9 become 3 and 7
    np.testing.assert_allclose(np.cov(adapted.T), np.diag([3.0, 7.0]), atol=0.3)


def test_powers_of_a_covariance_are_those_of_the_whole_matrix() -> None:
    rng = np.random.default_rng(0)
    centred, rows = rng.standard_normal((3, 6)), rng.standard_normal((2, 6))
    covariance = centred.T @ centred / 3
    values, vectors = np.linalg.eigh((covariance + np.trace(covariance) / 6 * np.eye(6)) / 2)
    expected = rows @ vectors @ np.diag(values**-0.5) @ vectors.T
    np.testing.assert_allclose(times_covariance(rows, centred, -0.5), expected)


def test_standardised_sides_have_no_mean_and_unit_deviation() -> None:
    rng = np.random.default_rng(0)
    for side in standardise_each(rng.normal(3, 2, (20, 4)), rng.normal(-1, 5, (30, 4))):
        np.testing.assert_allclose(side.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(side.std(0), 1, atol=1e-5)
    assert next(iter(ADAPTATIONS)) == "none"


def test_scores_are_paired_by_seed_and_zero_against_themselves(lab: Lab) -> None:
    spec = Spec(UNSEEN)
    heads = [train(lab, Recipe(), seed).head for seed in range(2)]
    own = [lab.evaluate_head(head, spec) for head in heads]
    frozen = [lab.evaluate_head(identity_head(WIDTH), spec)]
    none = difference(own, own)
    assert (none["mean"], none["interval"], none["by_speakers"], none["decided"]) == (0, 0, [0, 0], False)
    expected = np.mean([one.accuracy.mean for one in own]) - frozen[0].accuracy.mean
    assert difference(own, frozen)["mean"] == pytest.approx(100 * expected, abs=0.01)
    scores = score({"trained": {spec.name: own}, "frozen": {spec.name: frozen}}, "frozen")
    assert markdown(scores).count("| urdu disjoint |") == 2


def test_the_interval_over_seeds_is_students() -> None:
    found = seed_interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high - found.mean == pytest.approx(4.3027 / 3**0.5, rel=1e-4)  # t of 2 degrees of freedom
