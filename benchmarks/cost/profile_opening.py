"""Time to open a profile of 50 classes of 20 clips: `python -m benchmarks.cost.profile_opening`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import best_median_s, matrix_product_s, write_result
from metaser.runtime import Engine
from metaser.runtime.enrolment.clip import Clip
from metaser.runtime.enrolment.profile import Profile

CLASSES, CLIPS = 50, 20


def measure_opening() -> dict[str, Any]:
    """Milliseconds for a calibrated profile of random embeddings."""
    engine = Engine.open(provider="cpu")
    manifest = engine.bundle.manifest
    count = CLASSES * CLIPS
    profile = engine.calibrate(
        Profile(
            model_id=manifest.model_id,
            graph_id=manifest.graph_id,
            bundle_name=manifest.name,
            calibration=manifest.calibration,
            clips=tuple(
                Clip(f"class {row % CLASSES}", f"{row:064x}", f"{row}.wav", f"/clips/{row}.wav") for row in range(count)
            ),
            embeddings=np.random.default_rng(0).standard_normal((count, manifest.head.embedding_size), np.float32),
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.safetensors"
        profile.save(path)
        return {
            "classes": CLASSES,
            "clips": count,
            "size_kb": round(path.stat().st_size / 1000),
            "open_ms": round(1000 * best_median_s(lambda: engine.open_profile(path).prototypes, runs=5), 1),
            "matrix_product_1024_ms": round(1000 * matrix_product_s(), 1),
        }


if __name__ == "__main__":
    write_result("profile_opening", {"command": "python -m benchmarks.cost.profile_opening", **measure_opening()})
