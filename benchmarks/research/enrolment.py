"""Measure the estimates that enrolment reports: `python -m benchmarks.research.enrolment WHAT CORPORA`.

calibration  expected and measured rates of false accepts and rejects, and calibration error, validation speakers
test         the same on test speakers
limits       effect of noise, little speech, a wrong label and a near-copy, and how often the report finds them
tuned        expected and measured rates with a tuned head, validation speakers, also with the clips it was tuned on
stability    movement of the threshold if embeddings are rounded otherwise, validation speakers
options      several prototypes per class, and a neutral anchor, paired with neither
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.machine import RESEARCH, write_result
from benchmarks.research.enrolment_calibration import measure_calibration, measure_stability
from benchmarks.research.enrolment_episodes import measured_bundle
from benchmarks.research.enrolment_limits import measure_limits
from benchmarks.research.enrolment_options import measure_options
from benchmarks.research.enrolment_tuned import measure_tuned


def main() -> None:
    """Run one measurement, write its result."""
    what = sys.argv[1]
    corpora = Path(sys.argv[2])
    command = f"python -m benchmarks.research.enrolment {what} CORPORA"
    bundle = measured_bundle()
    assert bundle.manifest.prior is not None
    measured = {
        "calibration": lambda: measure_calibration(corpora, "validation", bundle.manifest.prior),
        "limits": lambda: measure_limits(corpora),
        "options": lambda: measure_options(corpora),
        "stability": lambda: measure_stability(corpora, bundle.manifest.prior),
        "tuned": lambda: measure_tuned(corpora, bundle.manifest.prior),
        "test": lambda: measure_calibration(corpora, "test", bundle.manifest.prior),
    }[what]()
    write_result(
        f"enrolment_{what}", {"command": command, "bundle": bundle.manifest.name, "figures": measured}, RESEARCH
    )


if __name__ == "__main__":
    main()
