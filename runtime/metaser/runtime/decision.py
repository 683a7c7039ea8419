"""From an embedding to a label: cosine to each prototype, softmax, and `unknown` below a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Embedding, Embeddings, Prototypes


@dataclass(frozen=True)
class Calibration:
    """How scaled cosines become a confidence, and when the answer is `unknown`."""

    temperature: float = 1.0
    """Divides the logits before the softmax; above 1 confidence falls."""

    threshold: float = 0.0
    """The label is unknown below this confidence."""

    margin: float = 0.0
    """The label is unknown where the best class leads the second by less than this."""


@dataclass(frozen=True)
class Decision:
    """The answer for one clip."""

    label: str | None
    """The class, or None for unknown."""

    confidence: float
    """Probability of the best class, also where the label is unknown."""

    scores: dict[str, float]
    """Probability of each class; they sum to 1."""


def unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Rows scaled to length 1, in float64; a row of zeros stays."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    normalised: npt.NDArray[np.float64] = wide / np.where(length > 0, length, 1.0)
    return normalised


def prototype(embeddings: Embeddings) -> Embedding:
    """[M, E] embeddings of one class -> [E], their float64 mean scaled to length 1.

    The mean of un-normalised embeddings, normalised after (P>M>F, arXiv 2204.07305).
    """
    return unit(embeddings.astype(np.float64).mean(axis=0)).astype(np.float32)


def probabilities(
    embeddings: Embeddings, prototypes: Prototypes, scale: float, temperature: float
) -> npt.NDArray[np.float64]:
    """[B, E] embeddings, [C, E] prototypes -> [B, C], softmax over scale · cosine / temperature."""
    logits = scale / temperature * unit(embeddings) @ unit(prototypes).T
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    rows: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return rows


def decide(scores: npt.NDArray[np.float64], labels: tuple[str, ...], calibration: Calibration) -> Decision:
    """[C] probabilities in the order of `labels` -> the decision."""
    best = int(scores.argmax())
    confidence = float(scores[best])
    runner_up = float(np.delete(scores, best).max())
    known = confidence >= calibration.threshold and confidence - runner_up >= calibration.margin
    return Decision(
        label=labels[best] if known else None,
        confidence=confidence,
        scores={label: float(score) for label, score in zip(labels, scores, strict=True)},
    )
