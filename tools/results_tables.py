"""Measured accuracies as Markdown tables, in words that need no knowledge of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import table

CHANCE = 25
"""Chance level in per cent, for four classes."""

CORPORA = {
    "ravdess": "RAVDESS (English)",
    "emodb": "EmoDB (German)",
    "nemo": "nEMO (Polish)",
    "crema-d": "CREMA-D (English)",
    "emovo": "EMOVO (Italian)",
    "emotiontts": "emotiontts (Korean)",
    "casia": "CASIA (Mandarin, unseen)",
    "ased": "ASED (Amharic, unseen)",
    "urdu": "URDU (Urdu, unseen)",
    "eyase": "EYASE (Egyptian Arabic, unseen)",
}
SPEAKERS = {"disjoint": "unseen speakers", "same": "same speaker"}


def figure_name(figure: str) -> str:
    """`emodb disjoint` -> `EmoDB (German), unseen speakers`."""
    corpus, speakers = figure.split()
    return f"{CORPORA.get(corpus, corpus)}, {SPEAKERS[speakers]}"


def accuracy(entry: Mapping[str, float]) -> str:
    """`{"mean": 78.21, "interval": 0.6}` -> `78.2 ± 0.6`."""
    return f"{entry['mean']:.1f} ± {entry['interval']:.1f}"


def difference(entry: Mapping[str, Any]) -> str:
    """The mean with its interval over speakers, if there are several."""
    over = entry["by_speakers"]
    return f"{entry['mean']:+.1f} [{over[0]:+.1f}, {over[1]:+.1f}]" if over else f"{entry['mean']:+.1f} [one speaker]"


def verdict(entry: Mapping[str, Any]) -> str:
    """The conclusion from the intervals of a difference."""
    if not entry["decided"]:
        return "not decided"
    return "better" if entry["mean"] > 0 else "worse"


def gains_table(scores: Mapping[str, Any], arm: str, left_out: Sequence[str] = ()) -> str:
    """Table of the gain of a trained arm over the untrained reference, for readers in a hurry."""
    reference = scores["reference"]
    rows = []
    for figure, own in scores["accuracy"][arm].items():
        if figure in left_out:
            continue
        between = scores["difference"][arm][figure]
        proven = "no" if not between["decided"] else "yes" if between["mean"] > 0 else "yes, a loss"
        untrained = accuracy(scores["accuracy"][reference][figure])
        rows.append([figure_name(figure), untrained, accuracy(own), difference(between), proven])
    return table(["", f"untrained (`{reference}`)", f"trained (`{arm}`)", "gain", "proven?"], rows)


def scores_table(scores: Mapping[str, Any], arm: str, title: str) -> str:
    """Table of one arm, with a title, compared with the reference arm; one figure per row."""
    reference = scores["reference"]
    rows = []
    for figure, own in scores["accuracy"][arm].items():
        between = scores["difference"][arm][figure]
        other = scores["accuracy"][reference][figure]
        rows.append([figure_name(figure), accuracy(own), accuracy(other), difference(between), verdict(between)])
    return table(["", title, reference, "difference", ""], rows)
