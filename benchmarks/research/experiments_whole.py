"""Tune the whole network at test time: none, pmf and split on paired episodes of the unseen corpus.

Rate and steps of each method are chosen on validation speakers of the corpora that the network was trained on. The
convolutions keep their weights, as in training. Clips are cut to their first seconds, equally in every arm.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.accuracy.scores import score
from benchmarks.accuracy.specs import TRAINED_ON, UNSEEN, Spec, sampler_of
from benchmarks.markdown import table
from benchmarks.research.experiments_bench import Bench, Kept, open_trained
from benchmarks.research.experiments_outcome import Outcome
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.load import load_audio
from metaser.runtime.bundles.bundle import sha256_of
from metaser.toolkit.config import FreezeConfig
from metaser.toolkit.episodes.sampler import Episode, EpisodeSampler
from metaser.toolkit.evaluation.evaluate import Evaluation, answer, evaluate_by
from metaser.toolkit.evaluation.tuning import Tuning, TuningSettings, model_steps, tune_model
from metaser.toolkit.model.network import Clips, ProtoNet
from metaser.toolkit.training.batches import pad
from metaser.toolkit.training.freezing import freeze

Rows: TypeAlias = npt.NDArray[np.int64]

TEST = Spec(UNSEEN)
METHODS: tuple[Tuning, ...] = ("pmf", "split")
BACKBONE_RATES = (1e-5, 5e-5)
HEAD_RATE = 1e-3
STEPS = (2, 5)
BATCH = 10


def whole_model(bench: Bench) -> Outcome:
    """No tuning, pmf and split on all layers and the head."""
    network, embedder = open_trained(bench.train("within"))
    freeze(network.backbone, FreezeConfig(front_end=True))
    kept = Kept(bench.folder / f"whole-{embedder.key[:16]}.json")
    lab = _Tuner(bench, network, kept)
    found = {"none": lab.test(TuningSettings("none"))}
    facts: dict[str, Any] = {"network": "trained as the arm within of trained_sampling", "head rate": HEAD_RATE}
    times = []
    for method in METHODS:
        settings, facts[method] = lab.choose(method)
        found[method] = lab.test(settings)
        tuning_s = median(found[method][1])
        times.append(
            [method, f"{settings.backbone_learning_rate:g}", str(settings.steps), f"{tuning_s:.1f}",
             f"{tuning_s / settings.steps:.2f}"]
        )  # fmt: skip
    arms = {name: {TEST.name: [evaluation]} for name, (evaluation, _) in found.items()}
    scores = {
        "test": score(arms, "none"),
        "split against pmf": score({name: arms[name] for name in METHODS}, "pmf"),
    }
    cost = table(["method", "rate of the layers", "steps", "s per tuning, median", "s per step"], times)
    question = "Does tuning the whole model at test time help, and is split better than pmf?"
    return Outcome(question, scores, facts, tables={"Time": cost})


class _Tuner:
    """Tunes one network on episodes; every episode's result is stored."""

    def __init__(self, bench: Bench, network: ProtoNet, kept: Kept) -> None:
        self._bench = bench
        self._network = network
        self._kept = kept

    def choose(self, method: Tuning) -> tuple[TuningSettings, dict[str, Any]]:
        """The rate and steps of the best mean accuracy on validation speakers, and all means in per cent."""
        correct: dict[str, list[float]] = {}
        for spec in (Spec(corpus, split="validation") for corpus in TRAINED_ON):
            rows, sampler = sampler_of(self._bench.utterances, spec)
            for index in range(self._bench.budget.choice_episodes):
                for rate in BACKBONE_RATES:
                    name = f"choose {method} {rate:g} {spec.corpus} {index}"
                    settings = self._settings(method, rate, max(STEPS))
                    work = partial(self._follow, rows, sampler.draw(index), settings, index)
                    for case, accuracy in self._kept.get(name, work).items():
                        correct.setdefault(f"rate {rate:g}, {case} steps", []).append(accuracy)
        means = {(rate, steps): float(np.mean(correct[f"rate {rate:g}, {steps} steps"]))
                 for rate in BACKBONE_RATES for steps in STEPS}  # fmt: skip
        rate, steps = max(means, key=lambda case: means[case])
        facts = {f"rate {case[0]:g}, {case[1]} steps": round(100 * value, 2) for case, value in means.items()}
        facts["none"] = round(100 * float(np.mean(correct[f"rate {BACKBONE_RATES[0]:g}, 0 steps"])), 2)
        return self._settings(method, rate, steps), {"rate": rate, "steps": steps, "validation_accuracy": facts}

    def test(self, settings: TuningSettings) -> tuple[Evaluation, list[float]]:
        """The predictions for the paired episodes of the report, and the seconds of each tuning."""
        rows, sampler = sampler_of(self._bench.utterances, TEST)
        indices = range(self._bench.budget.tuning_episodes)
        case = f"test {settings.method} {settings.backbone_learning_rate:g} {settings.steps}"
        found = [
            self._kept.get(f"{case} {index}", partial(self._tune, rows, sampler, settings, index)) for index in indices
        ]
        answers = iter(np.array(one["answers"], np.int64) for one in found)
        digests = [sha256_of(self._bench.utterances[row].path) for row in rows]
        evaluation = evaluate_by(lambda _: next(answers), sampler, digests, indices)
        return evaluation, [one["seconds"] for one in found]

    def _settings(self, method: Tuning, rate: float, steps: int) -> TuningSettings:
        return TuningSettings(method, steps, HEAD_RATE, rate)

    def _tune(self, rows: Rows, sampler: EpisodeSampler, settings: TuningSettings, index: int) -> dict[str, Any]:
        episode = sampler.draw(index)
        start = perf_counter()
        tuned = tune_model(
            self._network, self._clips(rows[episode.support.ravel()]), episode.support_targets, settings, index
        )
        seconds = perf_counter() - start
        print(f"{settings.method} {index}: {seconds:.1f} s", flush=True)
        return {"answers": self._answers(tuned, rows, episode).tolist(), "seconds": seconds}

    def _follow(self, rows: Rows, episode: Episode, settings: TuningSettings, index: int) -> dict[str, float]:
        """The accuracy before tuning and after some numbers of steps."""
        tuned = copy.deepcopy(self._network)
        support = self._clips(rows[episode.support.ravel()])

        def accuracy() -> float:
            return float(np.mean(self._answers(tuned, rows, episode) == episode.query_targets))

        found = {"0": accuracy()}
        for step, _ in enumerate(model_steps(tuned, support, episode.support_targets, settings, index), start=1):
            if step in STEPS:
                found[str(step)] = accuracy()
        print(f"chosen among: {settings.method} {index} {found}", flush=True)
        return found

    def _answers(self, network: ProtoNet, rows: Rows, episode: Episode) -> npt.NDArray[np.int64]:
        clips = np.concatenate([episode.support.ravel(), episode.query_indices])
        embeddings = np.zeros((len(rows), network.head.embedding_size), np.float32)
        with torch.inference_mode():
            for start in range(0, len(clips), BATCH):
                batch = clips[start : start + BATCH]
                embeddings[batch] = network.embed(*self._clips(rows[batch])).numpy()
        return answer(embeddings, episode)

    def _clips(self, rows: Sequence[int] | Rows) -> Clips:
        most = round(self._bench.budget.crop_s * SAMPLE_RATE_HZ)
        return pad([load_audio(self._bench.utterances[row].path)[:most] for row in rows])
