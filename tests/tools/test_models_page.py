"""Cards match the committed results, and claim nothing else."""

import json
from copy import deepcopy
from typing import Any

import pytest

from benchmarks.cost.shipped_bundles import measure, size_mb
from benchmarks.machine import read_result
from metaser.runtime import open_bundle, shipped_bundles
from tools.model_card import Facts, cost_rows, model_card
from tools.models_page import MODELS, card_of, trained_models
from tools.results_tables import CORPORA

CHECKPOINT = {
    "backbone": {"layers": 3},
    "head": {"kind": "mean-fc", "embedding_size": 256},
    "source": "whisper-base-encoder",
    "licence": "CC-BY-NC-SA-4.0",
    "corpora": ["emodb", "ravdess"],
    "languages": ["de", "en"],
}
COST = {
    "precision": "int8", "size_mb": 11.53, "threads": 2, "window_s": 3.0, "latency_ms": {"p50": 14.26, "p90": 15.0},
    "peak_mb": 120.4, "machine": {"processor": "A Processor", "flags": ["avx2"], "cores": 2},
}  # fmt: skip


def entry(mean: float, speakers: list[float] | None, *, decided: bool) -> dict[str, Any]:
    return {"mean": mean, "interval": 0.5, "by_speakers": speakers, "decided": decided}


def scores(arm: str, reference: str, differences: dict[str, dict[str, Any]]) -> dict[str, Any]:
    accuracy = {figure: {"mean": 60.04, "interval": 0.81} for figure in differences}
    own = {figure: {"mean": 60.04 + one["mean"], "interval": 0.66} for figure, one in differences.items()}
    return {"accuracy": {reference: accuracy, arm: own}, "reference": reference, "difference": {arm: differences}}


@pytest.fixture
def measured() -> dict[str, Any]:
    """A model that is better on German, undecided on Urdu, worse with one shot, and hurt by tuning."""
    better = {
        "emodb disjoint": entry(10.0, [8.0, 12.0], decided=True),
        "emodb same": entry(20.0, [18.0, 22.0], decided=True),
        "urdu disjoint": entry(0.5, [-6.0, 8.0], decided=False),
    }
    return {
        "machine": {"commit": "abc1234"},
        "command": "python -m benchmarks.accuracy.default_accuracy MODEL CORPORA",
        "scores": {
            "5 shots": scores("default", "frozen", better),
            "1 shot": scores("default", "frozen", {"emodb disjoint": entry(-3.0, [-4.0, -2.0], decided=True)}),
            "5 shots, tuned": scores("split", "untuned", {"emodb same": entry(-1.0, None, decided=False)}),
        },
        "by speaker": {
            "emodb disjoint": {"speakers": {"a": 50.0, "b": 70.0, "c": 90.0}, "sexes": {"female": 60.5, "male": 80.5}},
            "urdu disjoint": {"speakers": {"F1": 24.9, "M1": 25.0}, "sexes": {"unknown": 25.0}},
        },
    }


def card(measured: dict[str, Any], **changes: Any) -> str:
    recipe = {"seed": 7, "episodes": {"n_way": 4, "k_shot": 5, "n_query": 6}}
    facts = {"name": "ours", "checkpoint": CHECKPOINT, "recipe": recipe, "accuracy": measured, "cost": COST}
    return model_card(Facts(**{**facts, **changes}))


def test_a_card_states_what_the_corpora_allow(measured: dict[str, Any]) -> None:
    text = " ".join(card(measured).split())
    assert "on their own device, for non-commercial purposes. Enrol" in text
    assert "the licence of the weights is CC-BY-NC-SA-4.0" in text
    free = {**CHECKPOINT, "licence": "MIT", "corpora": ["crema-d", "emodb"]}
    text = " ".join(card(measured, checkpoint=free).split())
    assert "on their own device. Enrol" in text
    assert "CREMA-D is under ODbL 1.0, its contents under DbCL 1.0; EmoDB is free by the words of its authors" in text


def test_a_card_has_every_figure_with_its_intervals_and_verdict(measured: dict[str, Any]) -> None:
    text = card(measured)
    for row in (
        "| EmoDB (German), unseen speakers | 70.0 ± 0.7 | 60.0 ± 0.8 | +10.0 [+8.0, +12.0] | better |",
        "| URDU (Urdu, unseen), unseen speakers | 60.5 ± 0.7 | 60.0 ± 0.8 | +0.5 [-6.0, +8.0] | not decided |",
        "| EmoDB (German), unseen speakers | 57.0 ± 0.7 | 60.0 ± 0.8 | -3.0 [-4.0, -2.0] | worse |",
        "| EmoDB (German), same speaker | 59.0 ± 0.7 | 60.0 ± 0.8 | -1.0 [one speaker] | not decided |",
        "| EmoDB (German), unseen speakers | 3 | 50.0 | 70.0 | 90.0 | 60.5 | 80.5 |",
        "| URDU (Urdu, unseen), unseen speakers | 2 | 24.9 | 24.9 | 25.0 |  |  |",
        "| shipped bundle, int8 | 11.5 MB |",
        "| latency for a clip of 3 s, 2 threads | 14.3 ms (median), 15.0 ms (p90), on A Processor with avx2 |",
    ):
        assert row in text
    for words in ("4-way 5-shot, 6 queries per class, seed 7", "commit abc1234", "no commercial use", "AI Act"):
        assert words in text


def test_what_a_card_says_against_the_model_follows_from_the_results(measured: dict[str, Any]) -> None:
    found = card(measured).split("### Where it fails\n")[1].split("\n\n")[0].splitlines()
    assert found == [
        "- URDU (Urdu, unseen), unseen speakers, 5 shots: no decided difference from `frozen`.",
        "- EmoDB (German), unseen speakers, 1 shot: worse than `frozen`.",
        "- EmoDB (German), same speaker, 5 shots, tuned: no decided difference from `untuned`.",
        "- URDU (Urdu, unseen), unseen speakers: 1 of 2 speakers are below chance with 5 shots.",
        "- EmoDB (German): 70.0 % for unseen speakers, 80.0 % for the same speaker.",
    ]
    better = deepcopy(measured)
    better["scores"]["5 shots"]["difference"]["default"]["urdu disjoint"]["decided"] = True
    assert "Urdu, unseen), unseen speakers, 5 shots:" not in card(better)


def test_what_was_not_measured_is_not_stated(measured: dict[str, Any]) -> None:
    text = card({}, cost={}, recipe={})
    assert (
        "Not measured yet: `python -m benchmarks.accuracy.default_accuracy ours CORPORA --name ours_accuracy`" in text
    )
    assert "shipped bundle, int8" not in text
    assert "Recipe" not in text
    untuned = {**measured, "scores": {"5 shots": measured["scores"]["5 shots"]}}
    assert "tuned on them" not in card(untuned)


@pytest.mark.parametrize("name", trained_models())
def test_the_licence_of_a_model_gives_credit_to_all_its_corpora(name: str) -> None:
    text = (MODELS / name / "LICENSE").read_text(encoding="utf-8")
    for corpus in json.loads((MODELS / name / "checkpoint.json").read_text(encoding="utf-8"))["corpora"]:
        assert f"- {CORPORA[corpus].partition(' (')[0]}" in text


@pytest.mark.parametrize("name", trained_models())
def test_the_card_of_a_model_and_that_in_its_bundle_are_what_is_written_from_the_results(name: str) -> None:
    expected = card_of(name)
    assert (MODELS / name / "MODEL_CARD.md").read_text(encoding="utf-8") == expected
    folder = open_bundle(name).folder
    assert (folder / "MODEL_CARD.md").read_text(encoding="utf-8") == expected
    assert (folder / "LICENSE").read_bytes() == (MODELS / name / "LICENSE").read_bytes()


def test_what_is_measured_of_the_shipped_bundles_is_what_cards_state() -> None:
    costs = measure(runs=1, warm_up=0, repetitions=1)
    assert sorted(costs) == shipped_bundles()
    for name, cost in costs.items():
        size, latency, memory = cost_rows(cost)
        assert size == ["shipped bundle, int8", f"{size_mb(name):.1f} MB"]
        assert latency[0] == "latency for a clip of 3 s, 2 threads"
        assert cost["machine"]["processor"] in latency[1]
        assert memory[1] == f"{cost['peak_mb']:.0f} MB"


def test_the_costs_are_of_the_bundles_that_are_shipped() -> None:
    costs = read_result("shipped_bundles").get("bundles", {})
    assert set(costs) <= set(shipped_bundles())
    for name, cost in costs.items():
        assert cost["size_mb"] == pytest.approx(size_mb(name), abs=0.2)  # a card holds the figure of the one before
