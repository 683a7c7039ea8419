"""The tables and the plot of a latency run, from its JSON document."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from metaser.runtime.system.plot_file import new_figure, save_figure

INT8, FP32 = "metaser int8, 24 layers", "metaser fp32, 24 layers"
SMALL_RATIO = 0.1
SHORTER = re.compile(r"\b(?:14|8) layers")
ROOF_OF_INT8 = re.compile(r"int8|Integer|in [iu]8")


def to_markdown(document: dict[str, Any], picture: str) -> str:
    """The page: machine, tables over windows and threads, and explanations."""
    machine, cases = document["machine"], document["cases"]
    products = [case["matrix_product_ms"] for case in cases]
    names = list(dict.fromkeys(name for case in cases for name in case["peers"]))
    sections = [
        f"# Latency of {document['model']}",
        f"{machine['processor']} ({', '.join(machine['flags']) or 'no vector flags'}), {machine['cores']} cores, "
        f"commit {machine['commit']}. `{document['command']}`",
        f"Milliseconds of the encoder for one clip: medians of alternating runs after one warm-up run, "
        f"{_runs(cases)}. Ratios are medians over adjacent runs. A fixed 1024³ float32 product took "
        f"{min(products):.1f} to {max(products):.1f} ms before the cases. Rows named shipped are the small models "
        "in the package, up to the embedding; clips over their longest window are cut.",
        "## Milliseconds",
        _over_cases(cases, names, lambda own: f"{own['median_ms']:.{0 if own['median_ms'] >= 100 else 1}f}"),
    ]
    for own, title in ((INT8, "int8, 24 layers"), (FP32, "fp32, 24 layers")):
        sections += [
            f"## How many times faster metaser {title} is",
            _over_cases(cases, names, lambda peer, own=own: _ratio(peer["ratios"].get(own))),  # type: ignore[misc]
        ]
    sections += ["## Share of the roofline", *_roofline(document, names)]
    sections.append(f"![milliseconds over the window]({picture})")
    return "\n\n".join([*sections, *_facts(document, names)]) + "\n"


def draw(document: dict[str, Any], path: Path) -> None:
    """Write milliseconds over the window, both axes logarithmic, one line per peer, as PNG; for the most threads."""
    threads = max(document["threads"])
    figure, axes = new_figure(8.0, 5.0)
    cases = [case for case in document["cases"] if case["threads"] == threads]
    for name in dict.fromkeys(name for case in cases for name in case["peers"]):
        points = [(case["seconds"], case["peers"][name]["median_ms"]) for case in cases if name in case["peers"]]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="window, s", ylabel=f"ms on {threads} threads")
    axes.set_xticks(document["windows_s"], [f"{seconds:g}" for seconds in document["windows_s"]])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save_figure(figure, path)


def _over_cases(cases: list[dict[str, Any]], names: list[str], cell: Callable[[dict[str, Any]], str]) -> str:
    columns = [f"{case['seconds']:g} s, {case['threads']} thr." for case in cases]
    rows = [[name, *(cell(case["peers"][name]) if name in case["peers"] else "" for case in cases)] for name in names]
    return table(["", *columns], rows)


def _roofline(document: dict[str, Any], names: list[str]) -> list[str]:
    """The share of the processor's speed that each form of the whole network reaches, and its actual precision."""
    speeds, operations = document["roofline_gops"], document["operations"]
    stated = "; ".join(
        f"{count} threads: int8 {own['int8']:.0f}, float32 {own['float32']:.0f}" for count, own in speeds.items()
    )
    whole = [name for name in names if not name.startswith("shipped") and not SHORTER.search(name)]

    def cell(name: str, case: dict[str, Any]) -> str:
        if name not in case["peers"]:
            return ""
        kind = "int8" if ROOF_OF_INT8.search(document["precision"][name]) else "float32"
        gops = 1e-6 * operations[f"{case['seconds']:g}"] / case["peers"][name]["median_ms"]
        return f"{100 * gops / speeds[str(case['threads'])][kind]:.0f} %"

    columns = [f"{case['seconds']:g} s, {case['threads']} thr." for case in document["cases"]]
    rows = [[name, document["precision"][name], *(cell(name, case) for case in document["cases"])] for name in whole]
    return [
        f"Billions of operations per second of one product [200, 1024] x [1024, 4096] in ONNX Runtime, {stated}. Each "
        "row's matrix products divided by its time, as a share of the product in its own precision.",
        table(["", "precision that ran", *columns], rows),
    ]


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.3f}" if ratio < SMALL_RATIO else f"{ratio:.2f}"


def _runs(cases: list[dict[str, Any]]) -> str:
    counts = dict.fromkeys((f"{case['seconds']:g} s", case["runs"]) for case in cases)
    return ", ".join(f"{runs} at {window}" for window, runs in counts)


def _facts(document: dict[str, Any], names: list[str]) -> list[str]:
    """Load time, memory and size per peer, and the cost of exporting and compiling."""
    last: dict[str, float] = {}
    for case in document["cases"]:
        last |= {name: max(own["peak_mb"], last.get(name, 0.0)) for name, own in case["peers"].items()}
    loads: dict[str, list[float]] = {}
    for own in document["load_s"].values():
        for name, seconds in own.items():
            loads.setdefault(name, []).append(seconds)
    sizes = document["encoder_mb"]
    rows = [
        [name, f"{min(loads[name]):.1f}", f"{last[name]:.0f}", f"{sizes[name]:.0f}" if name in sizes else ""]
        for name in names
    ]
    longest = max(document["windows_s"])
    lines = [
        "## Load, memory and size",
        table(["", "load, s", f"peak memory up to {longest:g} s, MB", "encoder, MB"], rows),
        "\n".join(
            f"Exporting {name} took {cost['seconds']:.0f} s and {cost['peak_mb'] / 1024:.1f} GB."
            for name, cost in document["exports"].items()
        ),
    ]
    if compile_s := document["compile_s"]:
        lines.append(
            "torch.compile, with one graph per window, took this long when WORK was made, on a machine that may "
            "have been busy: " + "; ".join(f"{case} {seconds:.0f} s" for case, seconds in compile_s.items()) + "."
        )
    lines += [
        f"Not measured on {count} threads: {name} ({reason})."
        for count, own in document["failures"].items()
        for name, reason in own.items()
    ]
    return lines
