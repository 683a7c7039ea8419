"""Do several prototypes per class, or a neutral anchor, help? Each is paired with one plain prototype per class.

several   one prototype per class and group (microphone or person); a class scores by its nearest prototype
anchor    every embedding minus the mean of its speaker's neutral clips; neutral is then not a class
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.research.enrolment_episodes import CORPORA, SEED, Floats, load
from metaser.runtime import Engine, load_audio
from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.trim import speech_in
from metaser.runtime.scoring.decision import unit
from metaser.toolkit.evaluation.embeddings import Embedded
from metaser.toolkit.evaluation.intervals import interval_over_speakers, paired_interval
from metaser.toolkit.training.augment import add_noise, reverberate

EPISODES = 200
CLASSES = 4
PER_GROUP = 3
QUERIES = 6
ANCHOR_CLIPS = 4

Rows = npt.NDArray[np.int64]
Outcome = tuple[list[float], list[float], list[float], list[str]]
"""Accuracy per episode of the option and of the plain method; difference and speaker of every query."""


def measure_options(corpora: Path) -> dict[str, Any]:
    """Every option on the validation speakers of every corpus."""
    engine = Engine.open(provider="cpu", threads=1)
    found: dict[str, Any] = {}
    for name in CORPORA:
        clips = load(corpora, name, "validation")
        elsewhere = np.stack(
            [engine.embed(speech_in(_far_microphone(load_audio(clip.path)))) for clip in clips.utterances]
        )
        found[name] = {
            "several, two microphones, one person": _summary(_microphones(clips, elsewhere.astype(np.float64))),
            "several, two persons": _summary(_persons(clips)),
            "anchor, one person": _summary(_anchored(clips, unseen=False)),
            "anchor, unseen speakers": _summary(_anchored(clips, unseen=True)),
        }
    return found


def _far_microphone(waveform: Waveform) -> Waveform:
    rng = np.random.default_rng(len(waveform))
    return np.clip(add_noise(reverberate(waveform, 0.5, rng), 15, rng), -1, 1).astype(np.float32)


def _summary(outcome: Outcome) -> dict[str, Any] | None:
    option, plain, differences, speakers = outcome
    if len(option) < EPISODES:
        return None
    by_episodes = paired_interval(option, plain)
    by_speakers = interval_over_speakers(differences, speakers)
    return {
        "plain": round(100 * float(np.mean(plain)), 2),
        "option": round(100 * float(np.mean(option)), 2),
        "difference": round(100 * by_episodes.mean, 2),
        "interval_over_episodes": [round(100 * by_episodes.low, 2), round(100 * by_episodes.high, 2)],
        "interval_over_speakers": by_speakers and [round(100 * by_speakers.low, 2), round(100 * by_speakers.high, 2)],
    }


def _parts(clips: Embedded) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    labels = np.array([clip.label for clip in clips.utterances])
    return labels, np.array([clip.speaker for clip in clips.utterances])


def _take(own: Rows, count: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    mixed = rng.permutation(own)
    return mixed[:count], mixed[count : count + QUERIES]


def _nearest_group(queries: Floats, groups: Floats) -> Floats:
    """[Q, E] queries, [groups, C, E] means -> [Q, C], the highest cosine over groups."""
    return np.einsum("qe,gce->gqc", unit(queries), unit(groups)).max(axis=0)


def _compare(draws: Iterator[tuple[Floats, Floats, Rows, list[str]]]) -> Outcome:
    """Each draw is [Q, C] cosines of the option and of the plain method, targets [Q] and speakers."""
    outcome: Outcome = ([], [], [], [])
    for option, plain, targets, speakers in draws:
        rights = [cosines.argmax(axis=1) == targets for cosines in (option, plain)]
        outcome[0].append(float(rights[0].mean()))
        outcome[1].append(float(rights[1].mean()))
        outcome[2].extend(rights[0].astype(float) - rights[1])
        outcome[3].extend(speakers)
    return outcome


def _grouped(groups: list[tuple[list[Rows], Floats]], queries: list[tuple[Rows, Floats]]) -> tuple[Floats, Floats]:
    """Cosines with one prototype per group, and with one over all groups; each group has its rows per class."""
    means = np.stack([[source[rows].mean(axis=0) for rows in by_class] for by_class, source in groups])  # [G, C, E]
    asked = np.concatenate([source[rows] for rows, source in queries])
    return _nearest_group(asked, means), unit(asked) @ unit(means.mean(axis=0)).T


def _microphones(clips: Embedded, elsewhere: Floats) -> Outcome:
    """Half of a person's support and half of the queries pass through a simulated far microphone in a room."""
    labels, speakers = _parts(clips)
    near = clips.embeddings.astype(np.float64)
    shots = 2 * (PER_GROUP - 1)  # so that every corpus has queries left

    def draw() -> Iterator[tuple[Floats, Floats, Rows, list[str]]]:
        for index in range(EPISODES):
            rng = np.random.default_rng((SEED, index))
            person = rng.choice(np.unique(speakers))
            own = {label: np.flatnonzero((labels == label) & (speakers == person)) for label in np.unique(labels)}
            large = [label for label, rows in own.items() if len(rows) >= shots + 2]
            if len(large) < CLASSES:
                continue
            taken = [_take(own[label], shots, rng) for label in rng.choice(large, CLASSES, replace=False)]
            half = shots // 2
            groups = [
                ([support[:half] for support, _ in taken], near),
                ([support[half:] for support, _ in taken], elsewhere),
            ]
            asked = [(query[place::2], source) for _, query in taken for place, source in ((0, near), (1, elsewhere))]
            targets = np.repeat(np.repeat(np.arange(CLASSES), 2), [len(rows) for rows, _ in asked])
            option, plain = _grouped(groups, asked)
            yield option, plain, targets, [str(person)] * len(targets)

    return _compare(draw())


def _persons(clips: Embedded) -> Outcome:
    """Support and queries of two persons."""
    labels, speakers = _parts(clips)
    source = clips.embeddings.astype(np.float64)

    def draw() -> Iterator[tuple[Floats, Floats, Rows, list[str]]]:
        for index in range(EPISODES):
            rng = np.random.default_rng((SEED, index))
            pair = rng.choice(np.unique(speakers), 2, replace=False)
            own = {
                (label, person): np.flatnonzero((labels == label) & (speakers == person))
                for label in np.unique(labels)
                for person in pair
            }
            large = [label for label in np.unique(labels) if all(len(own[label, who]) > PER_GROUP for who in pair)]
            if len(large) < CLASSES:
                continue
            chosen = rng.choice(large, CLASSES, replace=False)
            taken = {(label, who): _take(own[label, who], PER_GROUP, rng) for label in chosen for who in pair}
            groups = [([taken[label, who][0] for label in chosen], source) for who in pair]
            asked = [(taken[label, who][1], source) for label in chosen for who in pair]
            counts = [len(rows) for rows, _ in asked]
            option, plain = _grouped(groups, asked)
            names = np.repeat(np.tile(pair, CLASSES), counts)
            yield option, plain, np.repeat(np.repeat(np.arange(CLASSES), 2), counts), list(names)

    return _compare(draw())


def _anchored(clips: Embedded, *, unseen: bool) -> Outcome:
    """Every speaker gives a few neutral clips; the classes are the other emotions, five shots."""
    labels, speakers = _parts(clips)
    source = clips.embeddings.astype(np.float64)

    def draw() -> Iterator[tuple[Floats, Floats, Rows, list[str]]]:
        for index in range(EPISODES):
            rng = np.random.default_rng((SEED, index))
            people = rng.permutation(np.unique(speakers))
            taught, heard = (
                (people[: len(people) // 2], people[len(people) // 2 :]) if unseen else (people[:1], people[:1])
            )
            moved = source.copy()
            for person in people:
                neutral = np.flatnonzero((labels == "neutral") & (speakers == person))
                moved[speakers == person] -= source[_take(neutral, ANCHOR_CLIPS, rng)[0]].mean(axis=0)
            names = [label for label in np.unique(labels) if label != "neutral"]
            sides = {
                label: [np.flatnonzero((labels == label) & np.isin(speakers, side)) for side in (taught, heard)]
                for label in names
            }
            large = [label for label in names if len(sides[label][0]) >= 7 and len(sides[label][1])]
            if len(large) < CLASSES:
                continue
            support, asked = [], []
            for label in rng.choice(large, CLASSES, replace=False):
                rows = rng.permutation(sides[label][0])[:5]
                support.append(rows)
                asked.append(rng.permutation(np.setdiff1d(sides[label][1], rows))[:15])
            queries = np.concatenate(asked)
            targets = np.repeat(np.arange(CLASSES), [len(rows) for rows in asked])
            cosines = [
                unit(space[queries]) @ unit(np.stack([space[rows].mean(axis=0) for rows in support])).T
                for space in (moved, source)
            ]
            yield cosines[0], cosines[1], targets, list(speakers[queries])

    return _compare(draw())
