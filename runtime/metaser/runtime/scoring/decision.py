"""From an embedding to a label: cosine to each prototype, softmax, and `unknown` if no label is certain enough.

An answer is unknown if the best class is not probable enough (`threshold`, `margin`), or if the clip resembles no class
(`min_cosine`). In the second case the clip's scores sum to nearly 0, so that the mean of a stream's windows is unknown
if most of them are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check_fields
from metaser.runtime.arrays import Embedding, Embeddings, Prototypes
from metaser.runtime.errors import InputError


@dataclass(frozen=True)
class Calibration:
    """How scaled cosines become a confidence, and when the answer is `unknown`.

    Raises:
        InputError: a value is not a finite number or out of its range.
    """

    temperature: float = 1.0
    """Divides the logits before the softmax; above 1 confidence falls."""

    threshold: float = 0.0
    """The label is unknown below this confidence."""

    margin: float = 0.0
    """The label is unknown if the best class leads the second by less than this."""

    min_cosine: float = -1.0
    """The label is unknown if no prototype has this cosine to the clip; -1 disables the rule."""

    strict_cosine: float = -1.0
    """The same for `--unknown strict`; -1 if it was not measured."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not is_between(self.temperature, TEMPERATURES):
            raise InputError(f"the temperature is {self.temperature:g}: give a number above 0, such as 1.0")
        for name in ("threshold", "margin"):
            if not is_between(getattr(self, name), PROBABILITIES):
                raise InputError(f"the {name} is {getattr(self, name):g}: give a probability from 0 to 1")
        for name in ("min_cosine", "strict_cosine"):
            if not is_between(getattr(self, name), COSINES):
                raise InputError(f"{name} is {getattr(self, name):g}: give a cosine from -1 to 1")


TEMPERATURES = (1e-20, 1e20)
PROBABILITIES = (0.0, 1.0)
COSINES = (-1.0, 1.0 + 1e-6)
"""A threshold just above 1 lets nothing through."""

SCALES = (1e-3, 1e6)
"""Limits of the temperature, and of the factor on cosines, within which confidences can be computed."""


UNFAMILIAR = 1e-6
"""The sum of the scores of a clip that resembles no class."""

HALF = 0.5
"""An answer is unknown if the scores sum to less: most windows resemble no class."""


@dataclass(frozen=True)
class Decision:
    """The answer for one clip."""

    label: str | None
    """The class, or None for unknown."""

    confidence: float
    """Probability of the best class, also if the label is unknown."""

    scores: dict[str, float]
    """Probability of each class; they sum to 1."""

    def as_dict(self) -> dict[str, object]:
        """`label`, `confidence` and `scores`, rounded, as `metaser classify --json` prints them."""
        return {
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "scores": {label: round(score, 6) for label, score in self.scores.items()},
        }

    def to_json(self) -> str:
        """The same as one line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)


def is_between(number: float, limits: tuple[float, float]) -> bool:
    """Whether a number lies within limits; NaN does not."""
    return limits[0] <= number <= limits[1]


def unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Rows scaled to length 1, in float64; a row of zeros stays."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    return wide / np.where(length > 0, length, 1.0)


def prototype(embeddings: Embeddings) -> Embedding:
    """[M, E] embeddings of one class -> [E], their float64 mean scaled to length 1.

    The mean of un-normalised embeddings, normalised after (P>M>F, arXiv 2204.07305).
    """
    return unit(embeddings.astype(np.float64).mean(axis=0)).astype(np.float32)


def cosines(embeddings: Embeddings, prototypes: Prototypes) -> npt.NDArray[np.float64]:
    """[B, E] embeddings, [C, E] prototypes -> [B, C]."""
    return unit(embeddings) @ unit(prototypes).T


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[B, C] -> [B, C] rows that sum to 1."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def score(similarities: npt.NDArray[np.float64], scale: float, calibration: Calibration) -> npt.NDArray[np.float64]:
    """[B, C] cosines -> [B, C] probabilities; rows of clips that resemble no class sum to nearly 0."""
    familiar = similarities.max(axis=-1, keepdims=True) >= calibration.min_cosine
    return softmax(scale / calibration.temperature * similarities) * np.where(familiar, 1.0, UNFAMILIAR)


def decide(scores: npt.NDArray[np.float64], labels: tuple[str, ...], calibration: Calibration) -> Decision:
    """[C] scores of a clip, or their mean over windows, in the order of `labels` -> the decision."""
    total = float(scores.sum())
    familiar = total >= HALF
    if not np.isclose(total, 1.0, rtol=0.0, atol=1e-9):  # some windows resemble no class
        scores = scores / total
    best = int(scores.argmax())
    confidence = float(scores[best])
    runner_up = float(np.delete(scores, best).max())
    known = familiar and confidence >= calibration.threshold and confidence - runner_up >= calibration.margin
    return Decision(
        label=labels[best] if known else None,
        confidence=confidence,
        scores={label: float(score) for label, score in zip(labels, scores, strict=True)},
    )
