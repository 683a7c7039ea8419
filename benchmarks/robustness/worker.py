"""A process that runs the cases of one kind in sequence, and prints each case before it starts.

    python -m benchmarks.robustness.worker KIND WORK FIRST LAST

Standard output has a line of JSON for the start of a case and one for its end, so that the watching process knows which
case crashed or hangs.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from benchmarks.robustness.cases import KINDS, Case
from metaser.runtime.errors import InputWarning, MetaserError

SPARE_BYTES = 2 << 30
"""Address space limit above the size before the first case; a case that needs more gets a memory error."""

FRAMES_SHOWN = 4


def run_case(case: Case, seed: int) -> dict[str, Any]:
    """Outcome of a case: `accepted`, `refused` by a metaser error, a `system error`, or a `traceback`."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            case(seed)
            outcome: dict[str, Any] = {"outcome": "accepted"}
        except MetaserError as error:
            outcome = {"outcome": "refused", "error": type(error).__name__, "message": str(error)[:300]}
        except OSError as error:
            outcome = {"outcome": "system error", "error": type(error).__name__, "message": str(error)[:300]}
        except Exception as error:  # noqa: BLE001 # whatever the command line would show as a traceback
            outcome = {"outcome": "traceback", "error": type(error).__name__, "message": _shown(error)}
    stray = sorted({str(one.message)[:200] for one in heard if not issubclass(one.category, InputWarning)})
    return outcome | {"seconds": round(time.perf_counter() - began, 4), "stray_warnings": stray}


def _shown(error: BaseException) -> str:
    """The error and its origin, without paths of this machine."""
    places = traceback.extract_tb(error.__traceback__)[-FRAMES_SHOWN:]
    trail = " < ".join(f"{Path(place.filename).name}:{place.lineno} {place.name}" for place in reversed(places))
    return f"{str(error)[:200]} < {trail}"


def start_peak() -> None:
    """Reset the peak memory."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The peak resident memory since `start_peak`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return 1024 * int(found[1])


def limit_memory() -> None:
    """Limit the address space of the process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    """Run the cases named on the command line."""
    kind, work, first, last = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library's output must not mix with the results
    case = KINDS[kind](Path(work))
    limit_memory()
    start_peak()
    before = peak_bytes()
    for seed in range(int(first), int(last)):
        answers.write(json.dumps({"begins": seed}) + "\n")
        start_peak()
        outcome = run_case(case, seed)
        answers.write(json.dumps({"seed": seed, **outcome, "more_bytes": peak_bytes() - before}) + "\n")


if __name__ == "__main__":
    main()
