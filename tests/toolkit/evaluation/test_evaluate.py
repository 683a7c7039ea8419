"""Evaluation of embeddings by episodes, runs as JSON, and paired comparison."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metaser.runtime.errors import InputError, MissingDependencyError, NotFoundError
from metaser.toolkit.data.utterances import Utterance
from metaser.toolkit.episodes.sampler import Episode, EpisodeSampler, EpisodeSettings
from metaser.toolkit.evaluation.charts import draw_confusion, draw_lines
from metaser.toolkit.evaluation.embeddings import Embedded
from metaser.toolkit.evaluation.evaluate import Evaluation, answer, compare, evaluate
from metaser.toolkit.evaluation.evaluation_file import Run, compare_runs, read_run, to_document

LABELS = ("anger", "joy", "sadness")
SETTINGS = EpisodeSettings(n_way=3, k_shot=2, n_query=4)


def embedded(noise: float, corpus: str = "made up", width: int = 8, clips: int = 6) -> Embedded:
    """Four speakers with clips of each label, whose embeddings are one direction per label and noise."""
    utterances = tuple(
        Utterance(Path(f"{speaker}-{label}-{take}.wav"), label, speaker, "en", corpus, label)
        for speaker in "abcd"
        for label in LABELS
        for take in range(clips)
    )
    rng = np.random.default_rng(0)
    rows = np.eye(3, width)[[LABELS.index(clip.label) for clip in utterances]]
    rows = rows + noise * rng.standard_normal(rows.shape)
    digests = tuple(f"{number:064x}" for number in range(len(utterances)))
    return Embedded(utterances, digests, rows.astype(np.float32), ())


def measured(noise: float, corpus: str = "made up", seed: int = 0, count: int = 20) -> Evaluation:
    clips = embedded(noise, corpus)
    return evaluate(clips, EpisodeSampler(clips.utterances, SETTINGS, seed), count)


def run_of(*evaluations: Evaluation) -> Run:
    return Run({"name": "m", "form": "bundle", "key": "0"}, evaluations)


def test_the_answer_is_the_nearest_mean_by_cosine_normalised_after_the_mean() -> None:
    rows = np.array([[10, 0], [0, 1], [1, 1], [1, 1], [9, 2], [1, 1.5], [1, 0.2]], np.float32)
    episode = Episode(("a", "b"), np.array([[0, 1], [2, 3]]), (np.array([4]), np.array([5, 6])))
    # prototypes (5, 0.5) and (1, 1); had each clip been normalised first, both would be (1, 1)
    assert answer(rows, episode).tolist() == [0, 1, 0]


def test_clean_embeddings_are_all_right_and_noise_is_chance() -> None:
    clean, noise = measured(0.0), measured(1000.0, count=200)
    assert clean.accuracy.mean == clean.recall == 1.0
    assert (clean.confusion == np.diag(np.diag(clean.confusion))).all()
    assert noise.accuracy.low < 1 / 3 < noise.accuracy.high + 0.03
    over_speakers = noise.accuracy_by_speakers
    assert over_speakers is not None
    assert over_speakers.low < noise.accuracy.mean < over_speakers.high


def test_confusion_recall_and_accuracy_agree_with_the_answers() -> None:
    one = Evaluation(
        corpus="c",
        protocol={},
        episodes_id="",
        classes=("x", "y", "z"),
        targets=(np.array([0, 0, 1]), np.array([2, 2, 2, 1])),
        answers=(np.array([0, 1, 1]), np.array([2, 2, 1, 2])),
        speakers=("c/1",) * 3 + ("c/2",) * 4,
    )
    assert one.confusion.tolist() == [[1, 1, 0], [0, 1, 1], [0, 1, 2]]
    assert one.accuracy_by_episode.tolist() == pytest.approx([2 / 3, 1 / 2])
    assert one.recall == pytest.approx((1 / 2 + 1 / 2 + 2 / 3) / 3)
    assert one.accuracy_by_speakers is not None
    assert one.accuracy_by_speakers.mean == pytest.approx(4 / 7)
    assert replace(one, speakers=("c/1",) * 7).accuracy_by_speakers is None
    assert replace(one, speakers=("c/1", "", *("c/2",) * 5)).accuracy_by_speakers is None


def test_a_run_compared_with_itself_differs_by_zero() -> None:
    comparison = compare(measured(0.8), measured(0.8))
    assert (comparison.by_episodes.mean, comparison.by_episodes.low, comparison.by_episodes.high) == (0, 0, 0)
    assert comparison.by_speakers is not None
    assert (comparison.by_speakers.low, comparison.by_speakers.high) == (0, 0)
    assert not comparison.decided


def test_the_difference_of_two_runs_is_that_of_their_accuracies() -> None:
    better, worse = measured(0.3), measured(2.0)
    comparison = compare(better, worse)
    assert comparison.by_episodes.mean == pytest.approx(better.accuracy.mean - worse.accuracy.mean)
    assert comparison.decided
    assert compare(worse, better).by_episodes.mean == pytest.approx(-comparison.by_episodes.mean)
    nameless = replace(better, speakers=("",) * len(better.speakers))
    assert not compare(nameless, worse).decided  # not decided without speakers


def test_other_episodes_and_other_clips_are_refused() -> None:
    with pytest.raises(InputError, match="seed 0 and 1"):
        compare(measured(0.5), measured(0.5, seed=1))
    clips = embedded(0.5)
    other = replace(clips, digests=clips.digests[::-1])
    sampler = EpisodeSampler(clips.utterances, SETTINGS, 0)
    with pytest.raises(InputError, match="the clips differ"):
        compare(evaluate(clips, sampler, 5), evaluate(other, sampler, 5))


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    run = run_of(measured(0.8), measured(1.2, "other"))
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(to_document(run)))
    again = read_run(path)
    differences = compare_runs(run, again)
    assert list(differences) == ["made up", "other"]
    for one, read in zip(run.evaluations, again.evaluations, strict=True):
        assert (read.accuracy, read.accuracy_by_speakers, read.recall) == (
            one.accuracy,
            one.accuracy_by_speakers,
            one.recall,
        )
        np.testing.assert_array_equal(read.confusion, one.confusion)
    assert all(found.by_episodes.mean == 0 for found in differences.values())
    with pytest.raises(InputError, match="the other run has no made up: it has other"):
        compare_runs(run, run_of(run.evaluations[1]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not a run that"),
        ("[]", "is not a run that"),
        ('{"format": "other"}', "'other'"),
        ('{"format": "metaser-evaluation", "version": 2}', "update metaser"),
        ('{"format": "metaser-evaluation", "version": 1, "model": {}, "corpora": [{}]}', "is not a run that"),
    ],
)
def test_another_file_is_no_run(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        read_run(path)
    with pytest.raises(NotFoundError):
        read_run(tmp_path / "absent.json")


def test_one_episode_has_no_interval() -> None:
    with pytest.raises(InputError, match="at least 2"):
        measured(1.0, count=1)


def test_600_episodes_of_a_large_corpus_take_at_most_ten_seconds() -> None:
    clips = embedded(1.0, width=1024, clips=120)  # 1440 clips
    start = time.perf_counter()
    found = evaluate(clips, EpisodeSampler(clips.utterances, EpisodeSettings(n_way=3), 0), 600)
    assert found.accuracy_by_speakers is not None
    assert time.perf_counter() - start < 10


def test_charts_are_png_files(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "new" / "confusion.png", np.array([[3, 1], [0, 0]]), ("a", "b"), "m on c")
    draw_lines(tmp_path / "lines.png", [1, 5], {"none": [(50, 1), (60, 2)]}, ("shots", "accuracy"))
    for path in (tmp_path / "new" / "confusion.png", tmp_path / "lines.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"metaser\[plots\]"):
        draw_confusion(tmp_path / "confusion.png", np.eye(2, dtype=np.int64), ("a", "b"), "title")
