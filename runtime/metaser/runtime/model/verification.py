"""Verification that this device reproduces the golden vectors that a bundle's export computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metaser.runtime.bundles.bundle import golden_vectors
from metaser.runtime.errors import BundleError
from metaser.runtime.scoring.decision import unit

if TYPE_CHECKING:
    from metaser.runtime.model.model import Model

SAME_PRECISION_COSINE = 0.98
"""Least agreement of one clip's embeddings by two exports of a model; below it the device computes wrongly."""

FP32_TOLERANCE = 1e-3
"""Largest difference to the golden vectors, relative to their largest value, on any fp32 device."""


@dataclass(frozen=True)
class Verification:
    """How this device reproduces a bundle's golden vectors."""

    frames_max_difference: float
    """Relative to the largest absolute value of the reference."""

    frames_limit: float | None
    """The largest difference that passes; None for a precision whose frames differ between processors."""

    embedding_cosine: float
    cosine_limit: float
    """The least cosine that passes."""

    @property
    def passed(self) -> bool:
        """Whether both are within their limits."""
        exact = self.frames_limit is None or self.frames_max_difference <= self.frames_limit
        return exact and self.embedding_cosine >= self.cosine_limit


def verify(model: Model) -> Verification:
    """Run the golden waveform and compare with the reference vectors."""
    golden = golden_vectors(model.bundle)
    manifest = model.bundle.manifest
    frames = model.frames(golden["waveform"])
    if {name: golden[name].shape for name in ("frames", "embedding")} != {
        "frames": frames.shape,
        "embedding": (manifest.head.embedding_size,),
    }:
        raise BundleError("golden.safetensors does not fit the graphs: export the bundle again")
    embedding = model.pool(frames)
    difference = float(np.abs(frames - golden["frames"]).max()) / float(np.abs(golden["frames"]).max())
    cosine = float(unit(embedding) @ unit(golden["embedding"]))
    frames_limit = FP32_TOLERANCE if manifest.precision == "fp32" else None
    return Verification(difference, frames_limit, cosine, SAME_PRECISION_COSINE)
