"""Time to tune a head on the device, compared with PyTorch: `python -m benchmarks.cost.tuning_time`."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import best_median_s, matrix_product_s, write_result
from metaser.export.tuning_graph import tune_graph
from metaser.runtime import Engine, load_audio
from metaser.runtime.tuning.head import HeadTuner, HeadTuningSettings, SupportFrames
from metaser.toolkit.evaluation.tuning import TuningSettings, tune_head
from metaser.toolkit.model.network import HEADS, Head, identity_head, make_head

CLIPS, FRAMES, WIDTH, SIZE = 20, 150, 512, 256
STEPS = HeadTuningSettings().steps


def time_heads() -> dict[str, Any]:
    """Seconds to tune each kind of head, on the device's path and in PyTorch."""
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((CLIPS, FRAMES, WIDTH)).astype(np.float32)
    support = SupportFrames(frames, np.full(CLIPS, FRAMES), np.repeat(np.arange(4), CLIPS // 4))
    heads: dict[str, Head] = {f"{kind} {WIDTH} to {SIZE}": make_head(kind, WIDTH, SIZE) for kind in HEADS}
    heads[f"the shipped one, {WIDTH} to {WIDTH}"] = identity_head(WIDTH)
    found = {}
    for name, head in heads.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tune.onnx"
            path.write_bytes(tune_graph(head).SerializeToString())
            tuner = HeadTuner(path)
            size_bytes = path.stat().st_size
        parameters = {key: value.detach().numpy() for key, value in head.named_parameters()}
        settings = TuningSettings("split", STEPS, HeadTuningSettings().learning_rate)
        found[name] = {
            "device_s": round(best_median_s(partial(tuner.tune, parameters, support, HeadTuningSettings()), 1, 3), 3),
            "pytorch_s": round(best_median_s(partial(tune_head, head, support, settings, 0), 1, 3), 3),
            "graph_kb": round(size_bytes / 1000),
        }
    return found


def guarded_enrolment() -> dict[str, float]:
    """Seconds to tune on the demonstration's 20 clips, cut to 3 s, including frames and guard."""
    engine = Engine.open(provider="cpu")
    folder = engine.bundle.folder.parents[1] / "demo" / "support"
    arrays = {
        label.name: [np.resize(load_audio(clip), 48_000) for clip in sorted(label.iterdir())]
        for label in sorted(folder.iterdir())
    }
    profile = engine.enroll(arrays)
    return {
        "with_guard_s": round(best_median_s(lambda: engine.tune(profile, arrays), 1, 3), 3),
        "enroll_s": round(best_median_s(lambda: engine.enroll(arrays), 1, 3), 3),
    }


def main() -> None:
    """Measure and write."""
    figures = {
        "command": "python -m benchmarks.cost.tuning_time",
        "what": f"{STEPS} steps of `split` on {CLIPS} clips of {FRAMES} frames; best of three",
        "matrix_product_1024_ms": round(1000 * matrix_product_s(), 1),
        "tuning": time_heads(),
        "shipped bundle, 4 x 5 clips of 3 s": guarded_enrolment(),
    }
    write_result("tuning_time", figures)


if __name__ == "__main__":
    main()
