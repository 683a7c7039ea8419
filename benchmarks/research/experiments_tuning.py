"""Experiments on tuning a trained head at test time: none, pmf, split, one shot, and scaling of split with N and K.

Rate and steps of each method are chosen on validation speakers. The episodes of a figure are distributed over the heads
of all training seeds, and every method uses the same ones.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from timeit import timeit
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.scores import score
from benchmarks.accuracy.specs import TESTS, TRAINED_ON, UNSEEN, Rows, Spec
from benchmarks.markdown import table
from benchmarks.research.experiments_heads import CHOSEN_HEAD
from benchmarks.research.experiments_lab import Lab, Recipe
from benchmarks.research.experiments_outcome import Outcome, Plot
from benchmarks.research.experiments_training import heads_of
from metaser.runtime.tuning.head import SupportFrames
from metaser.toolkit.episodes.sampler import Episode, SpeakerSplit
from metaser.toolkit.evaluation.evaluate import Answers, Evaluation, answer, evaluate_by
from metaser.toolkit.evaluation.tuning import Tuning, TuningSettings, head_steps, tune_head
from metaser.toolkit.model.network import HEADS, Head, make_head

RATES = (1e-4, 3e-4, 1e-3)
STEPS = (10, 20, 40)
SPEAKERS: tuple[SpeakerSplit, ...] = ("disjoint", "same")
SWEEP = ((2, 5), (3, 5), (4, 5), (4, 2), (4, 3), (4, 10))
"""N and K."""
FULL_FRAMES = 150
TIMED_STEPS, TIMED_ROUNDS = 5, 4
SWEPT = (Spec(UNSEEN), Spec("nemo"))


def tuning(lab: Lab) -> Outcome:
    """No tuning, pmf and split with five shots."""
    return _compare(
        lab, ("none", "pmf", "split"), 5, "Does tuning the head at test time help, and is split better than pmf?"
    )


def one_shot(lab: Lab) -> Outcome:
    """Tuning methods with one clip per class."""
    return _compare(lab, ("none", "pmf", "time", "views"), 1, "Does tuning help with one clip a class, and how?")


def sweep(lab: Lab) -> Outcome:
    """None and split over N and K."""
    heads = heads_of(lab, Recipe(CHOSEN_HEAD))
    chosen, facts = choose(lab, heads, "split", 5)
    scores = {}
    for n_way, k_shot in SWEEP:
        specs = [replace(spec, n_way=n_way, k_shot=k_shot) for spec in SWEPT]
        arms: dict[str, dict[str, list[Evaluation]]] = {
            settings.method: {spec.name: [evaluate_tuning(lab, heads, spec, settings)[0]] for spec in specs}
            for settings in (TuningSettings("none"), chosen)
        }
        scores[f"{n_way}-way {k_shot}-shot"] = score(arms, "none")
    plots = []
    for name, fixed, swept in (("classes", 1, 0), ("shots", 0, 1)):
        points = sorted((case for case in SWEEP if case[fixed] == (4, 5)[fixed]), key=lambda case: case[swept])
        lines = {spec.name: [_gain(scores, case, spec) for case in points] for spec in SWEPT}
        plots.append(Plot(name, [case[swept] for case in points], lines, (name, "gain of split, points")))
    return Outcome("How does split tuning scale with the classes and the shots?", scores, {"split": facts}, plots)


def choose(lab: Lab, heads: Sequence[Head], method: Tuning, k_shot: int) -> tuple[TuningSettings, dict[str, Any]]:
    """The rate and steps of the best mean accuracy on validation speakers, and all means in per cent."""
    specs = [
        Spec(corpus, speakers, k_shot=k_shot, split="validation") for corpus in TRAINED_ON for speakers in SPEAKERS
    ]
    untuned: list[float] = []
    found: dict[tuple[float, int], list[float]] = {(rate, steps): [] for rate in RATES for steps in STEPS}
    for spec in specs:
        rows, sampler = lab.sampler(spec)
        for index, episode in enumerate(sampler.episodes(lab.budget.choice_episodes)):
            start = heads[index % len(heads)]
            untuned.append(_accuracy(lab, start, rows, episode))
            support = lab.store.support(rows[episode.support.ravel()], episode.support_targets)
            for rate in RATES:
                head = copy.deepcopy(start)
                for step, _ in enumerate(head_steps(head, support, TuningSettings(method, max(STEPS), rate), index), 1):
                    if step in STEPS:
                        found[rate, step].append(_accuracy(lab, head, rows, episode))
    means = {case: float(np.mean(values)) for case, values in found.items()}
    rate, steps = max(means, key=lambda case: means[case])
    facts = {f"rate {case[0]:g}, {case[1]} steps": round(100 * value, 2) for case, value in means.items()}
    facts["none"] = round(100 * float(np.mean(untuned)), 2)
    return TuningSettings(method, steps, rate), {"rate": rate, "steps": steps, "validation_accuracy": facts}


def evaluate_tuning(
    lab: Lab, heads: Sequence[Head], spec: Spec, settings: TuningSettings
) -> tuple[Evaluation, list[float]]:
    """Tune on every episode of a figure; also return the seconds of each tuning."""
    rows, sampler = lab.sampler(spec)
    count = lab.budget.tuning_episodes
    seconds: list[float] = []

    def answer_of(episode: Episode) -> Answers:
        index = len(seconds)
        support = lab.store.support(rows[episode.support.ravel()], episode.support_targets)
        start = time.perf_counter()
        tuned = tune_head(heads[index * len(heads) // count], support, settings, index)
        seconds.append(time.perf_counter() - start)
        return _answer(lab, tuned, rows, episode)

    return evaluate_by(answer_of, sampler, [lab.store.digests[row] for row in rows], range(count)), seconds


def _compare(lab: Lab, methods: Sequence[Tuning], k_shot: int, question: str) -> Outcome:
    heads = heads_of(lab, Recipe(CHOSEN_HEAD))
    facts: dict[str, Any] = {}
    arms: dict[str, dict[str, list[Evaluation]]] = {str(method): {} for method in methods}
    times: list[list[str]] = []
    for method in methods:
        settings = TuningSettings("none")
        if method != "none":
            settings, facts[method] = choose(lab, heads, method, k_shot)
        seconds: list[float] = []
        for spec in TESTS:
            evaluation, taken = evaluate_tuning(lab, heads, replace(spec, k_shot=k_shot), settings)
            arms[method][spec.name] = [evaluation]
            seconds += taken
        if method != "none":
            median_ms = 1000 * float(np.median(seconds))
            each_ms = median_ms / settings.steps
            times.append(
                [method, f"{settings.learning_rate:g}", str(settings.steps), f"{median_ms:.0f}", f"{each_ms:.1f}"]
            )
    scores = {"test": score(arms, "none")}
    if "split" in methods:
        scores["split against pmf"] = score({name: arms[name] for name in ("pmf", "split")}, "pmf")
    cost = table(["method", "rate", "steps", "ms per tuning, median", "ms per step"], times)
    tables = {
        "Time": cost,
        "Time per step on clips of 3 s with all frames": _step_times(methods, k_shot, lab.store.width),
    }
    return Outcome(question, scores, facts, tables=tables)


def _step_times(methods: Sequence[Tuning], k_shot: int, width: int) -> str:
    """A table of milliseconds per step, the best of some rounds, for every head."""
    targets = np.repeat(np.arange(4), k_shot)
    frames = torch.randn(len(targets), FULL_FRAMES, width).numpy()
    support = SupportFrames(frames, np.full(len(targets), FULL_FRAMES), targets)
    tuned = [method for method in methods if method != "none"]

    def best_ms(head: Head, method: Tuning) -> float:
        tunings = (
            lambda: tune_head(head, support, TuningSettings(method, TIMED_STEPS), 0) for _ in range(TIMED_ROUNDS)
        )
        return 1000 * min(timeit(tuning, number=1) for tuning in tunings) / TIMED_STEPS

    rows = [[kind, *(f"{best_ms(make_head(kind, width), method):.1f}" for method in tuned)] for kind in HEADS]
    return table(["ms", *tuned], rows)


def _answer(lab: Lab, head: Head, rows: Rows, episode: Episode) -> Answers:
    """Predictions from the embeddings of this episode's clips."""
    clips = np.concatenate([episode.support.ravel(), episode.query_indices])
    embeddings = np.zeros((len(rows), head.embedding_size), np.float32)
    embeddings[clips] = lab.store.embed(head, rows[clips])
    return answer(embeddings, episode)


def _accuracy(lab: Lab, head: Head, rows: Rows, episode: Episode) -> float:
    return float(np.mean(_answer(lab, head, rows, episode) == episode.query_targets))


def _gain(scores: dict[str, dict[str, Any]], case: tuple[int, int], spec: Spec) -> tuple[float, float]:
    found = scores[f"{case[0]}-way {case[1]}-shot"]["difference"]["split"][spec.name]
    return found["mean"], found["interval"]
