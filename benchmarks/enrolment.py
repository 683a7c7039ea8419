"""What enrolment promises, measured: `python -m benchmarks.enrolment WHAT [CORPORA]`.

calibration  expected beside real rates of false accepts and rejects, and the error of confidence, validation speakers
test         the same on test speakers
limits       what noise, little speech, a wrong label and a twin do, and how often the report finds them
tuned        expected beside real rates with a tuned head, validation speakers, and with the clips it was tuned on
options      several prototypes a class, and a neutral anchor, paired with neither
opening      how long a profile of 50 classes of 20 clips takes to open; without CORPORA
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.enrolment_calibration import measure_calibration
from benchmarks.enrolment_episodes import measured_bundle
from benchmarks.enrolment_limits import measure_limits
from benchmarks.enrolment_opening import measure_opening
from benchmarks.enrolment_options import measure_options
from benchmarks.enrolment_tuned import measure_tuned
from benchmarks.machine import write_result


def main() -> None:
    """Measure one thing, write its result."""
    what = sys.argv[1]
    if what == "opening":
        write_result("enrolment_opening", {"command": "python -m benchmarks.enrolment opening", **measure_opening()})
        return
    corpora = Path(sys.argv[2])
    command = f"python -m benchmarks.enrolment {what} CORPORA"
    bundle = measured_bundle()
    assert bundle.manifest.prior is not None
    measured = {
        "calibration": lambda: measure_calibration(corpora, "validation", bundle.manifest.prior),
        "limits": lambda: measure_limits(corpora),
        "options": lambda: measure_options(corpora),
        "tuned": lambda: measure_tuned(corpora, bundle.manifest.prior),
        "test": lambda: measure_calibration(corpora, "test", bundle.manifest.prior),
    }[what]()
    write_result(f"enrolment_{what}", {"command": command, "bundle": bundle.manifest.name, "figures": measured})


if __name__ == "__main__":
    main()
