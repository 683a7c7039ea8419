"""Experiments on training a head: kind of head, episodes, adversary, label training, languages, persons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.accuracy.scores import score
from benchmarks.accuracy.specs import TESTS, TRAINED_ON, UNSEEN, Spec
from benchmarks.research.experiments_lab import Lab, Recipe
from benchmarks.research.experiments_outcome import Outcome, Plot
from benchmarks.research.experiments_training import heads_of, train_all
from metaser.toolkit.evaluation.evaluate import Evaluation
from metaser.toolkit.model.network import HEADS, Head, identity_head

CHOSEN_HEAD = "mean-fc"
"""The head of every comparison except that of the heads; chosen on validation speakers by `heads`."""
STRENGTHS = (0.03, 0.1, 0.3, 1.0)
PERSONS = (Spec("ravdess", "any", 5, column="speaker"), Spec("nemo", "any", 5, column="speaker", split="all"))
"""RAVDESS's test speakers; all of nEMO's, which has only three test speakers and is not used in this training."""


def heads(lab: Lab) -> Outcome:
    """Which of the three heads is best, and is any better than no training?"""
    recipes = {kind: Recipe(kind) for kind in HEADS}
    return _compare(lab, recipes, "mean-fc", "Which pooling head is best, and does training it help?", frozen=True)


def sampling(lab: Lab) -> Outcome:
    """Episodes of one corpus against episodes over corpora."""
    recipes = {"within": Recipe(CHOSEN_HEAD), "free": Recipe(CHOSEN_HEAD, sampling="free")}
    return _compare(lab, recipes, "free", "Are episodes of one corpus better than episodes over all?")


def adversarial(lab: Lab) -> Outcome:
    """No adversary compared with adversaries of increasing strength."""
    recipes = {"off": Recipe(CHOSEN_HEAD)} | {
        f"{strength:g}": Recipe(CHOSEN_HEAD, adversary=strength) for strength in STRENGTHS
    }
    question = "Does domain-adversarial training help, and at which strength?"
    outcome = _compare(lab, recipes, "off", question)
    accuracy = outcome.scores["test"]["accuracy"]
    lines = {
        spec.name: [(arm[spec.name]["mean"], arm[spec.name]["interval"]) for arm in accuracy.values()] for spec in TESTS
    }
    return Outcome(question, outcome.scores, outcome.facts, (Plot("", list(recipes), lines, ("λ", "accuracy, %")),))


def supervised(lab: Lab) -> Outcome:
    """Training on labels, then prototypes, compared with training on episodes."""
    recipes = {"episodes": Recipe(CHOSEN_HEAD), "labels": Recipe(CHOSEN_HEAD, objective="labels")}
    return _compare(lab, recipes, "labels", "Is meta-training better than plain classification?", frozen=True)


def unseen(lab: Lab) -> Outcome:
    """Leave one language out: gain from training on the language itself, and from training on others."""
    arms: dict[str, dict[str, list[Evaluation]]] = {"frozen": {}, "others": {}, "all": {}}
    for left_out in TRAINED_ON:
        others = tuple(corpus for corpus in TRAINED_ON if corpus != left_out)
        spec = Spec(left_out)
        found: dict[str, list[Head]] = {
            "frozen": [identity_head(lab.store.width)],
            "others": heads_of(lab, Recipe(CHOSEN_HEAD, others)),
            "all": heads_of(lab, Recipe(CHOSEN_HEAD)),
        }
        for name, own in found.items():
            arms[name][spec.name] = [lab.evaluate_head(head, spec) for head in own]
    question = "Does training on other languages help one that was left out?"
    return Outcome(question, {"test": score(arms, "frozen")})


def persons(lab: Lab) -> Outcome:
    """Person identification, 5-way 5-shot, in the language of training and in another."""
    own: dict[str, list[Head]] = {
        "frozen": [identity_head(lab.store.width)],
        "trained on emotions": heads_of(lab, Recipe(CHOSEN_HEAD, ("ravdess",))),
        "trained on persons": heads_of(lab, Recipe(CHOSEN_HEAD, ("ravdess",), column="speaker")),
    }
    return Outcome("Does the method identify persons?", {"test": score(evaluate_all(lab, own, PERSONS), "frozen")})


def evaluate_all(
    lab: Lab, arms: Mapping[str, Sequence[Head]], specs: Sequence[Spec]
) -> dict[str, dict[str, list[Evaluation]]]:
    """Evaluate every head of every arm on every figure."""
    return {
        name: {spec.name: [lab.evaluate_head(head, spec) for head in own] for spec in specs}
        for name, own in arms.items()
    }


def _compare(
    lab: Lab, recipes: Mapping[str, Recipe], reference: str, question: str, *, frozen: bool = False
) -> Outcome:
    """Train the recipes; report validation, on which settings are chosen, and test."""
    arms: dict[str, list[Head]] = {"frozen": [identity_head(lab.store.width)]} if frozen else {}
    arms |= {name: heads_of(lab, recipe) for name, recipe in recipes.items()}
    validation = [Spec(corpus, split="validation") for corpus in TRAINED_ON]
    scores = {
        "validation": score(evaluate_all(lab, arms, validation), reference),
        "test": score(evaluate_all(lab, arms, TESTS), reference),
    }
    return Outcome(question, scores, {"training": _histories(lab, recipes), "unseen corpus": UNSEEN})


def _histories(lab: Lab, recipes: Mapping[str, Recipe]) -> dict[str, Any]:
    """Learning rate, validation accuracy over training, and accuracy of the adversary."""
    facts = {}
    for name, recipe in recipes.items():
        best, own = train_all(lab, recipe)
        facts[name] = {
            "rate": best.rate,
            "validation_accuracy": [[round(100 * value, 1) for value in one.validation] for one in own],
            "adversary_accuracy": [one.domain_accuracy for one in own if one.domain_accuracy is not None],
        }
    return facts
