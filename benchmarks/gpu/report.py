"""The tables of a GPU run, from its JSON document."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table


def to_markdown(document: dict[str, Any]) -> str:
    """Every measured part, with the GPU it ran on."""
    sections = [f"# CUDA: {document['model']}", f"`{document['command']}`, commit {document['machine']['commit']}."]
    parts = {"parity": parity, "options": options, "latency": latency, "training": training}
    for name, describe in parts.items():
        if name in document:
            part = {key: value for key, value in document[name].items() if key != "card"}
            sections += [f"## {name.capitalize()}", card(document[name]["card"]), *describe(part)]
    return "\n\n".join(sections) + "\n"


def card(facts: dict[str, Any]) -> str:
    """The GPU and the package versions."""
    return ", ".join(f"{name} {value:.0f}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in facts.items())  # fmt: skip


def parity(part: dict[str, Any]) -> list[str]:
    """PyTorch's modes and the bundles, all compared with float32 on the CPU."""
    modes = [
        [name, f"{own['frames_max_difference']:.1e}", f"{own['embedding_cosine_min']:.7f}",
         f"{own['gradient_cosine']:.7f}"]
        for name, own in part["torch"].items()
    ]  # fmt: skip
    bundles = [
        [name, f"{own['golden_frames_max_difference']:.1e}", f"{min(own['cosine_by_seconds'].values()):.7f}",
         "yes" if own["golden_passed"] else "no"]
        for name, own in part["bundles"].items() if isinstance(own, dict) and "cosine_by_seconds" in own
    ]  # fmt: skip
    failed = [
        f"{name}: {own['error']}" for name, own in part["bundles"].items() if isinstance(own, dict) and "error" in own
    ]
    notes = [part["bundles"]["note"]] if "note" in part["bundles"] else []
    return [
        table(["PyTorch on CUDA", "frames differ by", "lowest cosine of embeddings", "cosine of gradients"], modes),
        table(["bundle on CUDA", "golden frames differ by", "lowest cosine of embeddings", "verified"], bundles),
        *failed,
        *notes,
    ]


def options(part: dict[str, Any]) -> list[str]:
    """Settings of the provider: milliseconds of repeated runs of 4 s, and of lengths that change from run to run."""
    rows = [
        [f"{precision}, {name}", f"{own['repeated_4_s_ms']:.1f}", f"{min(own['second_run_ms']):.1f}",
         f"{max(own['second_run_ms']):.1f}", f"{own['frames_max_difference']:.1e}"]
        for precision, settings in part.items() for name, own in settings.items()
    ]  # fmt: skip
    heads = ["bundle and setting", "4 s repeated, ms", "length changed, min ms", "max ms", "frames differ by"]
    return [table(heads, rows)]


def latency(part: dict[str, Any]) -> list[str]:
    """Percentiles by window, and the speed-up of metaser's bundles over adjacent runs."""
    rows = [
        [f"{case['seconds']:g} s", str(case["runs"]), name,
         f"{own['p50_ms']:.1f}", f"{own['p99_ms']:.1f}", f"{own['first_ms']:.0f}",
         *(f"{own['ratios'][ours]:.2f}" if ours in own["ratios"] else "" for ours in ("metaser fp16", "metaser fp32"))]
        for case in part["cases"] for name, own in case["peers"].items()
    ]  # fmt: skip
    heads = ["window", "runs", "", "p50, ms", "p99, ms", "first, ms", "/ metaser fp16", "/ metaser fp32"]
    failures = [f"Not measured: {name} ({reason})." for name, reason in part["failures"].items()]
    return ["Runs after one warm-up run, all in turn.", table(heads, rows), *failures]


def training(part: dict[str, Any]) -> list[str]:
    """Each precision: episodes, time, memory, losses."""
    rows = [
        [precision, own["episodes"], own["stopped_after_steps"], f"{own['seconds_an_episode'] or 0:.3f}",
         own.get("peak_gpu_gib") or "not measured", "yes" if own["losses_finite"] else "no",
         " to ".join(f"{loss:.2f}" for loss in own["loss_first_and_last_tenth"])]
        for precision, own in part.items()
    ]  # fmt: skip
    heads = ["precision", "episodes", "stopped and resumed after step", "s per episode", "peak GPU memory, GiB",
             "losses finite", "loss, first to last tenth"]  # fmt: skip
    notes = [f"{precision} was cut off {own['cut_off']}." for precision, own in part.items() if "cut_off" in own]
    return [table(heads, [[str(cell) for cell in row] for row in rows]), *notes,
            "Seconds are those of the steps only, without waiting for clips, saves and validations."]  # fmt: skip
