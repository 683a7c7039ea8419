"""Few-shot comparison: the baseline and the classifiers by hand, and a whole comparison on synthetic speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from benchmarks.accuracy.few_shot import BASELINE, PROTOTYPES, compare, embedders_of, to_markdown, validation_clips
from benchmarks.accuracy.few_shot_classifiers import CLASSIFIERS, answer_by, classifiers_for
from benchmarks.accuracy.few_shot_embedders import MEL_BINS, log_mel_embedder
from metaser.toolkit.episodes.sampler import Episode
from tests.toolkit.made_speech import write_speech


def test_the_baseline_is_mean_and_deviation_of_the_stock_log_mel() -> None:
    clip = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    extractor = WhisperFeatureExtractor(feature_size=MEL_BINS)
    mel = extractor(clip, sampling_rate=16_000, return_tensors="np").input_features[0][:, :100]  # a second
    expected = np.concatenate([mel.mean(1), mel.std(1)])
    np.testing.assert_allclose(log_mel_embedder().embed(clip), expected, atol=1e-4)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_learns_the_support_and_answers_in_the_order_of_the_episode(name: str) -> None:
    rng = np.random.default_rng(0)
    centres = {"b": np.array([4.0, 0, 0]), "a": np.array([0, 4.0, 0])}
    embeddings = np.stack([centres[label] + rng.normal(0, 0.1, 3) for label in "bbbaaaba"]).astype(np.float32)
    episode = Episode(("b", "a"), np.array([[0, 1, 2], [3, 4, 5]]), (np.array([6]), np.array([7])))
    assert answer_by(CLASSIFIERS[name], embeddings, episode).tolist() == [0, 1]


def test_a_centroid_is_near_by_distance_and_by_angle_at_unit_length() -> None:
    # [3, 3] is nearer to the centroid [4, 1] than to [1, 1.2], but its angle is that of [1, 1.2]
    embeddings = np.array([[4, 1], [1, 1.2], [3, 3]], np.float32)
    episode = Episode(("long", "short"), np.array([[0], [1]]), (np.array([2]), np.array([], np.int64)))
    assert answer_by(CLASSIFIERS["nearest centroid"], embeddings, episode).tolist() == [0]
    assert answer_by(CLASSIFIERS["nearest centroid, unit length"], embeddings, episode).tolist() == [1]


def test_one_shot_leaves_out_the_classifier_that_needs_a_spread() -> None:
    assert set(CLASSIFIERS) - set(classifiers_for(1)) == {"LDA with shrinkage"}
    assert classifiers_for(2).keys() == CLASSIFIERS.keys()


def test_a_comparison_has_every_model_and_classifier_and_hears_validation_speakers_alone(tmp_path: Path) -> None:
    clips = validation_clips(write_speech(tmp_path))
    assert {clip.speaker for clip in clips} == {"15", "16", "11", "12", "KS0", "MP0"}
    embedders = {name: one for name, one in embedders_of({}).items() if name in (BASELINE, "frozen")}
    scores = compare(embedders, clips, tmp_path / "cache", episodes=2)
    assert set(scores) == {
        *(f"Embeddings, {shots}" for shots in ("5 shots", "1 shot")),
        *(f"Classifiers on {name}, {shots}" for name in embedders for shots in ("5 shots", "1 shot")),
    }
    assert set(scores["Classifiers on frozen, 5 shots"]["accuracy"]) == {PROTOTYPES, *CLASSIFIERS}
    machine = {"commit": "abc"}
    text = to_markdown({"machine": machine, "command": "x", "episodes": 2, "seconds": 1.0, "scores": scores})
    assert "| minus log-mel | ravdess disjoint |" in text
    assert "| minus cosine prototypes |" in text
