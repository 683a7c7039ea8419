"""Temperature, threshold and prior of a shipped bundle, measured on unseen speakers that are not test speakers.

    [METASER_BUNDLE=NAME] python -m benchmarks.research.calibrate_bundle CORPORA

Temperature and threshold come from the validation speakers of ravdess, emodb and nemo. A meta-trained bundle also gets
its prior from them, into models/NAME/calibration.json; its `tuning` entry stays, which
`benchmarks.research.tuning_guard` justifies. The frozen encoder gets its prior from the training speakers, also unseen
by it, into `results/choose_default.json`. `make bundles` uses both.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import RESEARCH, machine
from benchmarks.research.choose_default import SPLITS, calibrate, protocol, score
from benchmarks.research.enrolment_calibration import measure_prior
from benchmarks.research.enrolment_episodes import CORPORA, load, measured_bundle
from metaser.runtime.scoring.decision import Calibration
from metaser.runtime.system.files import SHARED, replace_text
from metaser.toolkit.episodes.sampler import Split

MODELS = Path(__file__).parents[2] / "models"


def measure(corpora: Path) -> dict[str, Any]:
    """Temperature, threshold and accuracy of a meta-trained bundle on validation speakers."""
    embedded = {name: load(corpora, name, "validation") for name in CORPORA}
    scored = {
        f"{name} {split}": score(own.embeddings, list(own.utterances), split)
        for name, own in embedded.items()
        for split in SPLITS
    }
    fitted = calibrate(list(scored.values()), measured_bundle().scale)
    accuracy = {f"{name} speakers": "{mean} ± {interval}".format(**own.accuracy()) for name, own in scored.items()}
    return {
        "calibration": {name: fitted.pop(name) for name in ("temperature", "threshold", "margin")},
        "calibration_quality": fitted,
        "accuracy": {"protocol": protocol(), **accuracy},
    }


def main() -> None:
    """Measure and write."""
    corpora, name = Path(sys.argv[1]), measured_bundle().manifest.name
    path = MODELS / name / "calibration.json"
    part: Split = "validation"
    if path.parent.is_dir():
        kept = json.loads(path.read_text(encoding="utf-8")).get("tuning", {}) if path.is_file() else {}
        command = "python -m benchmarks.research.calibrate_bundle CORPORA"
        found = {"machine": machine(), "command": command, **measure(corpora), "tuning": kept}
    else:
        path, part = RESEARCH / "choose_default.json", "train"
        found = {**json.loads(path.read_text(encoding="utf-8")), **measure(corpora)}
    prior = measure_prior(corpora, part, Calibration(**found["calibration"]))
    found["prior"] = asdict(prior)
    replace_text(path, json.dumps(found, indent=2, ensure_ascii=False) + "\n", mode=SHARED)
    print(path.name, found["calibration"], found["accuracy"])


if __name__ == "__main__":
    main()
