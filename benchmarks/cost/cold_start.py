"""Cold start: time from the start of a process to its first label, compared with PyTorch and transformers.

    python -m benchmarks.cost.cold_start --pair default=BACKBONE [--pair BUNDLE=MODEL] [--runs N]

For every shipped bundle, and every bundle of a pair: `metaser classify` with a profile and one clip of the
demonstration, and the same with the library. For every pair also its MODEL, the pre-trained encoder in the hub's
layout, in PyTorch and transformers: as many layers as the bundle, the mean over frames of the same clip, no label.
All cases run in turn, after one run each to fill the disk cache. Takes about 4 minutes. Writes
`results/cold_start.json` and `.md`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cost.latency_peer import paired_ratio
from benchmarks.cost.started_process import Started, run_process
from benchmarks.machine import RESULTS, matrix_product_s, read_result, write_result
from benchmarks.markdown import table
from metaser.runtime import Engine, open_bundle
from metaser.runtime.bundles.bundle import shipped_bundles, shipped_folder
from metaser.runtime.system.files import SHARED, replace_text

NAME = "cold_start"
RUNS = 7
WORKER = str(Path(__file__).with_name("cold_start_worker.py"))
COMMAND, LIBRARY, PEER = "metaser classify", "import metaser", "PyTorch and transformers"


def cases_of(pairs: Mapping[str, str], folder: Path) -> dict[str, list[str]]:
    """The command lines of all cases; a profile of each bundle is written to `folder`."""
    support = shipped_folder() / "demo" / "support"
    clip = str(min(support.glob("*/*")))
    cases: dict[str, list[str]] = {}
    for number, bundle in enumerate(dict.fromkeys([*shipped_bundles(), *pairs])):
        profile = str(folder / f"{number}.safetensors")
        engine = Engine.open(bundle, provider="cpu")
        engine.enroll(support).save(profile)
        name = engine.bundle.manifest.name
        words = ["classify", clip, "--json", "--bundle", bundle, "--profile", profile, "--provider", "cpu"]
        cases[f"{COMMAND}, {name}"] = [str(Path(sys.executable).parent / "metaser"), *words]
        cases[f"{LIBRARY}, {name}"] = [sys.executable, WORKER, "metaser", bundle, clip, profile]
        if bundle in pairs:
            layers = str(open_bundle(bundle).manifest.backbone.layers)
            cases[f"{PEER}, as {name}"] = [sys.executable, WORKER, "transformers", pairs[bundle], clip, layers]
    return cases


def measure(cases: Mapping[str, list[str]], runs: int) -> dict[str, list[Started]]:
    """Run all cases in turn, after one warm-up run each."""
    env = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    started: dict[str, list[Started]] = {name: [] for name in cases}
    for number in range(runs + 1):
        for name, words in cases.items():
            one = run_process(words, env)
            if number:
                started[name].append(one)
    return started


def figures_of(started: Mapping[str, Sequence[Started]]) -> dict[str, Any]:
    """Medians and peak memory by case; for a pair also PyTorch's time and memory as multiples."""
    found: dict[str, Any] = {
        name: {
            "first_label_s": statistics.median(one.first_line_s for one in own),
            "whole_process_s": statistics.median(one.seconds for one in own),
            "peak_mb": max(one.peak_mb for one in own),
            "first_label_s_of_runs": [one.first_line_s for one in own],
        }
        for name, own in started.items()
    }
    for name, own in started.items():
        head, _, bundle = name.partition(", as ")
        if head != PEER:
            continue
        theirs_s = [one.first_line_s for one in own]
        found[name]["times_longer_than"] = {
            case: paired_ratio(theirs_s, [one.first_line_s for one in started[f"{case}, {bundle}"]])
            for case in (COMMAND, LIBRARY)
        }
        found[name]["times_the_memory_of"] = {
            case: found[name]["peak_mb"] / found[f"{case}, {bundle}"]["peak_mb"] for case in (COMMAND, LIBRARY)
        }
    return found


def to_markdown(document: Mapping[str, Any]) -> str:
    """The page: machine, table and explanation."""
    machine, products = document["machine"], document["matrix_product_ms"]
    rows = [
        [
            name,
            f"{own['first_label_s']:.2f}",
            f"{own['whole_process_s']:.2f}",
            f"{own['peak_mb']:.0f}",
            *(_both(own.get(key)) for key in ("times_longer_than", "times_the_memory_of")),
        ]
        for name, own in document["cases"].items()
    ]
    columns = ["first answer, s", "whole process, s", "peak memory, MB"]
    sections = [
        "# Cold start: from process start to first label",
        f"{machine['processor']} ({', '.join(machine['flags']) or 'no vector flags'}), {machine['cores']} cores, "
        f"commit {machine['commit']}. `{document['command']}`",
        f"Medians of {document['runs']} runs in turn, after one each to fill the disk cache; memory is their "
        "maximum. PyTorch embeds the same clip with as many layers and gives no label. A fixed 1024³ float32 product "
        f"took {min(products):.1f} to {max(products):.1f} ms around the runs.",
        table(["", *columns, "times longer than command, library", "times the memory of command, library"], rows),
    ]
    return "\n\n".join(sections) + "\n"


def _both(ratios: Mapping[str, float] | None) -> str:
    return ", ".join(f"{ratio:.1f}" for ratio in ratios.values()) if ratios else ""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost.cold_start", description=__doc__.split("\n")[0])
    parser.add_argument("--pair", action="append", default=[], metavar="BUNDLE=MODEL")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N")
    given = parser.parse_args()
    pairs = dict(one.split("=", 1) for one in given.pair)
    products_ms = [1000 * matrix_product_s()]
    with tempfile.TemporaryDirectory() as name:
        cases = cases_of(pairs, Path(name))
        started = measure(cases, given.runs)
    products_ms.append(1000 * matrix_product_s())
    shown = [f"--pair {bundle if bundle in shipped_bundles() else 'BUNDLE'}=MODEL" for bundle in pairs]
    figures = {
        "command": " ".join(["python -m benchmarks.cost.cold_start", *shown]),
        "runs": given.runs,
        "warm_up_runs": 1,
        "threads": "each program's own choice",
        "matrix_product_ms": products_ms,
        "cases": figures_of(started),
    }
    write_result(NAME, figures)
    replace_text(RESULTS / f"{NAME}.md", to_markdown(read_result(NAME)), mode=SHARED)


if __name__ == "__main__":
    main()
