"""Episodes: properties of each split and sampling, repeatability, and shortages."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime.errors import InputError
from metaser.toolkit.data.corpora import Utterance
from metaser.toolkit.episodes.class_pools import make_groups
from metaser.toolkit.episodes.sampler import (
    SPLITS,
    Episode,
    EpisodeSampler,
    EpisodeSettings,
    Sampling,
    SpeakerSplit,
    Split,
    split_of,
)

EMOTIONS = ("anger", "joy", "sadness", "fear", "neutral")


def corpus(name: str, counts: Mapping[str, int], speakers: Iterable[str], language: str = "en") -> list[Utterance]:
    """`counts` clips of each label from every speaker."""
    return [
        Utterance(Path(f"{name}/{speaker}/{label}/{take}.wav"), label, speaker, language, name, label)
        for speaker in speakers
        for label, count in counts.items()
        for take in range(count)
    ]


def even(name: str, clips: int = 9, n_speakers: int = 4) -> list[Utterance]:
    return corpus(name, dict.fromkeys(EMOTIONS, clips), [f"s{number}" for number in range(n_speakers)])


def same(first: Episode, second: Episode) -> bool:
    return (
        first.classes == second.classes
        and np.array_equal(first.support, second.support)
        and all(np.array_equal(one, other) for one, other in zip(first.query, second.query, strict=True))
    )


MANY = even("a") + even("b", clips=12, n_speakers=3) + even("c", clips=8, n_speakers=2)


SETTINGS = st.builds(
    EpisodeSettings,
    n_way=st.integers(2, 5),
    k_shot=st.integers(1, 5),
    n_query=st.integers(1, 15),
    speaker_split=st.sampled_from(get_args(SpeakerSplit)),
    sampling=st.sampled_from(get_args(Sampling)),
)


@settings(deadline=None, max_examples=150)
@given(wanted=SETTINGS, seed=st.integers(0, 2**32), index=st.integers(0, 10**6))
def test_every_episode_keeps_the_promises_of_its_settings(wanted: EpisodeSettings, seed: int, index: int) -> None:
    episode = EpisodeSampler(MANY, wanted, seed).draw(index)
    support = [[MANY[clip] for clip in clips] for clips in episode.support]
    query = [[MANY[clip] for clip in clips] for clips in episode.query]
    everything = [clip for clips in support + query for clip in clips]

    assert len(set(episode.classes)) == len(episode.classes) == wanted.n_way
    assert episode.support.shape == (wanted.n_way, wanted.k_shot)
    assert all(1 <= len(clips) <= wanted.n_query for clips in query)
    assert len(set(everything)) == len(everything)  # support and query never share a clip
    for name, clips in zip(episode.classes, map(list.__add__, support, query), strict=True):
        assert {clip.label if wanted.sampling == "within" else f"{clip.corpus}/{clip.label}" for clip in clips} == {
            name
        }
        assert len({clip.corpus for clip in clips}) == 1
    if wanted.sampling == "within":
        assert len({clip.corpus for clip in everything}) == 1
    if wanted.speaker_split == "same":
        assert len({(clip.corpus, clip.speaker) for clip in everything}) == 1
    if wanted.speaker_split == "disjoint":
        of_support = {(clip.corpus, clip.speaker) for clips in support for clip in clips}
        assert not of_support & {(clip.corpus, clip.speaker) for clips in query for clip in clips}
    assert same(episode, EpisodeSampler(MANY, wanted, seed).draw(index))


def test_a_resumed_run_draws_the_episodes_of_an_uninterrupted_one() -> None:
    sampler = EpisodeSampler(MANY, EpisodeSettings(), seed=3)
    whole = list(sampler.episodes(6))
    later = list(EpisodeSampler(MANY, EpisodeSettings(), seed=3).episodes(3, start=3))
    assert all(same(one, other) for one, other in zip(whole[3:], later, strict=True))
    assert not same(whole[0], whole[1])
    assert not same(whole[0], EpisodeSampler(MANY, EpisodeSettings(), seed=4).draw(0))


def test_queries_and_their_classes_come_in_one_flat_list() -> None:
    support = np.array([[0], [1]])
    episode = Episode(("joy", "anger"), support, (np.array([4, 5]), np.array([7])))
    assert episode.query_indices.tolist() == [4, 5, 7]
    assert episode.query_targets.tolist() == [0, 0, 1]
    assert episode.support_targets.tolist() == [0, 1]


def test_a_class_with_fewer_clips_gives_fewer_queries() -> None:
    utterances = corpus("a", {"joy": 30, "anger": 7}, ["s0"])
    episode = EpisodeSampler(utterances, EpisodeSettings(2, 5, 15, "any"), seed=0).draw(0)
    assert {name: len(clips) for name, clips in zip(episode.classes, episode.query, strict=True)} == {
        "joy": 15, "anger": 2,
    }  # fmt: skip


def test_within_draws_every_corpus_equally_often_whatever_its_size() -> None:
    sampler = EpisodeSampler(even("large", clips=40) + even("small"), EpisodeSettings(speaker_split="any"), seed=0)
    drawn = [sampler.utterances[episode.support[0, 0]].corpus for episode in sampler.episodes(300)]
    assert 120 < drawn.count("small") < 180


def test_free_mixes_corpora_and_keeps_a_label_of_two_corpora_apart() -> None:
    sampler = EpisodeSampler(even("a") + even("b"), EpisodeSettings(sampling="free"), seed=0)
    episodes = list(sampler.episodes(50))
    assert any(len({name.split("/")[0] for name in episode.classes}) == 2 for episode in episodes)
    assert any(len({name.split("/")[1] for name in episode.classes}) < 4 for episode in episodes)


def test_the_halves_of_disjoint_are_redrawn_in_each_episode_and_as_even_as_possible() -> None:
    utterances = even("a", clips=40, n_speakers=5)
    sampler = EpisodeSampler(utterances, EpisodeSettings(2, 40, 40, "disjoint"), seed=0)
    halves = set()
    for episode in sampler.episodes(40):
        of_support = {utterances[clip].speaker for clip in episode.support.ravel()}
        of_query = {utterances[clip].speaker for clip in episode.query_indices}
        assert (len(of_support), len(of_query)) == (3, 2)
        halves.add(frozenset(of_query))
    assert len(halves) > 5


def test_disjoint_halves_the_speakers_of_each_corpus_also_where_classes_mix() -> None:
    wanted = EpisodeSettings(2, 1, 1, "disjoint", "free")
    ((pool,),) = make_groups(even("a", n_speakers=2) + even("b", n_speakers=7), wanted, "label")
    for seed in range(20):
        in_support = pool.draw_half(wanted, np.random.default_rng(seed))
        assert [int(in_support[speakers].sum()) for speakers in pool.corpora] == [1, 4]


def test_disjoint_redraws_halves_that_leave_too_few_classes() -> None:
    """Two classes have all their clips from s0 and s1: these two must lie in different halves."""
    rare = corpus("a", {"joy": 9, "anger": 9}, ["s0", "s1"])
    utterances = rare + corpus("a", {"fear": 9}, [f"s{number}" for number in range(2, 8)])
    sampler = EpisodeSampler(utterances, EpisodeSettings(3, 5, 15, "disjoint"), seed=0)
    for episode in sampler.episodes(30):
        assert sorted(episode.classes) == ["anger", "fear", "joy"]


@pytest.mark.parametrize(("k_shot", "least"), [(1, 8), (5, 8), (6, 9), (10, 13)])
def test_same_takes_classes_from_eight_clips_on_and_leaves_three_queries(k_shot: int, least: int) -> None:
    wanted = EpisodeSettings(2, k_shot, 15, "same")
    assert wanted.min_clips == least
    utterances = corpus("a", {"joy": least, "anger": least, "fear": least - 1}, ["s0"])
    assert {name for episode in EpisodeSampler(utterances, wanted, 0).episodes(20) for name in episode.classes} == {
        "joy", "anger",
    }  # fmt: skip


def test_persons_can_be_the_classes() -> None:
    sampler = EpisodeSampler(MANY, EpisodeSettings(3, 5, 15, "any", "free"), seed=0, column="speaker")
    episode = sampler.draw(0)
    for name, clips in zip(episode.classes, episode.support, strict=True):
        assert {f"{MANY[clip].corpus}/{MANY[clip].speaker}" for clip in clips} == {name}
    with pytest.raises(InputError, match="speaker_split must be 'any' and is 'disjoint'"):
        EpisodeSampler(MANY, EpisodeSettings(), seed=0, column="speaker")


def test_languages_can_be_the_classes() -> None:
    utterances = corpus("a", {"joy": 9}, ["s0"], "en") + corpus("a", {"joy": 9}, ["s1"], "de")
    episode = EpisodeSampler(utterances, EpisodeSettings(2, 5, 4, "any"), seed=0, column="language").draw(0)
    assert sorted(episode.classes) == ["de", "en"]


@pytest.mark.parametrize(
    ("utterances", "wanted", "message"),
    [
        (
            corpus("a", {"joy": 3, "anger": 9}, ["s0"]),
            EpisodeSettings(2, 5, 15, "any"),
            "^a: 2-way 5-shot with up to 15 queries needs 2 classes of at least 6 clips, and 1 of 2 are that large: "
            "anger has 9, joy has 3$",
        ),
        (
            even("a") + corpus("b", {"joy": 9}, ["s0"]),
            EpisodeSettings(4, 5, 15, "any"),
            "^b: 4-way .* and 1 of 1 are that large: joy has 9$",
        ),
        (
            corpus("a", {"joy": 7, "anger": 9}, ["s0", "s1"]),
            EpisodeSettings(2, 5, 15, "same"),
            "2 classes of at least 8 clips of one person, and none of its 2 speakers has them; of a/s0, 1 of 2 are",
        ),
        (
            corpus("a", {"joy": 9, "anger": 9}, ["s0"]),
            EpisodeSettings(2, 5, 15, "disjoint"),
            r"^a: 100 random halvings of its speakers \(1\) never gave 2 classes 5 support clips in one half",
        ),
        (
            corpus("a", {"joy": 9}, ["s0"]) + corpus("a", {"anger": 9}, ["s1"]),
            EpisodeSettings(2, 5, 15, "disjoint"),
            "take fewer shots or classes, or speaker_split 'any'$",
        ),
        (
            even("a") + corpus("a", {"joy": 2}, [""]),
            EpisodeSettings(),
            r"^2 of 182 clips name no speaker \(the first is 0.wav\), and speaker_split 'disjoint' needs it",
        ),
        (
            corpus("a", {f"class {number:02}": 2 for number in range(30)}, ["s0"]),
            EpisodeSettings(2, 5, 15, "any"),
            "class 09 has 2, 20 more$",
        ),
        ([], EpisodeSettings(), "^no clip has a label: episodes need 4 classes$"),
    ],
)
def test_a_shortage_is_an_error_with_the_numbers_before_the_first_episode(
    utterances: list[Utterance], wanted: EpisodeSettings, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        EpisodeSampler(utterances, wanted, seed=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_way": 1}, "n_way is 1 and must be at least 2"),
        ({"k_shot": 0}, "k_shot is 0 and must be at least 1"),
        ({"n_query": 0}, "n_query is 0 and must be at least 1"),
        ({"speaker_split": "mixed"}, "speaker_split is 'mixed': choose one of disjoint, same, any"),
        ({"sampling": "both"}, "sampling is 'both': choose one of within, free"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EpisodeSettings(**wrong)  # type: ignore[arg-type]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="the seed is -1"):
        EpisodeSampler(MANY, EpisodeSettings(), seed=-1)


@pytest.mark.parametrize(
    ("name", "speaker", "split"),
    [
        ("ravdess", "14", "train"),
        ("ravdess", "15", "validation"),
        ("ravdess", "18", "validation"),
        ("ravdess", "19", "test"),
        ("ravdess", "24", "test"),
        ("emodb", "10", "train"),
        ("emodb", "11", "validation"),
        ("emodb", "13", "test"),
        ("emodb", "16", "test"),
        ("nemo", "EB0", "train"),
        ("nemo", "MP0", "validation"),
        ("nemo", "KS0", "validation"),
        ("nemo", "WR0", "test"),
        ("crema-d", "1066", "train"),
        ("crema-d", "1067", "validation"),
        ("crema-d", "1091", "test"),
        ("emovo", "f1", "train"),
        ("emovo", "m2", "validation"),
        ("emovo", "f3", "test"),
        ("emotiontts", "nea", "train"),
        ("emotiontts", "emb", "validation"),
        ("emotiontts", "emh", "test"),
        ("casia", "1", "validation"),
        ("ased", "03", "validation"),
        ("urdu", "M1", "test"),
        ("eyase", "Male01", "test"),
        ("savee", "15", "train"),
    ],
)
def test_the_fixed_speakers_of_the_protocol(name: str, speaker: str, split: Split) -> None:
    assert split_of(corpus(name, {"joy": 1}, [speaker])[0]) == split


def test_no_speaker_is_in_two_splits() -> None:
    for name, held_out in SPLITS["test"].items():
        assert not held_out & SPLITS["validation"][name]
