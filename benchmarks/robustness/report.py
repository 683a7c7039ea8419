"""The robustness benchmark's results as a page of Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.robustness.watch import SORTS

WORDS = {
    "profile": "profiles, opened, reported, used, calibrated, saved",
    "bundle": "bundles with a damaged file, half with corrected hashes",
    "graph": "bundles with a damaged ONNX graph, half with corrected hashes",
    "sound": "recordings of all formats, a third through a pipe",
    "checkpoint": "encoders in the hub's layout, checkpoints, training states",
    "settings": "TOML settings of a training run, tested on an episode",
}


def to_markdown(document: dict[str, Any]) -> str:
    """The whole page."""
    kinds = document["kinds"]
    machine = document["machine"]
    damaged = {name: found for name, found in kinds.items() if name in WORDS}
    lines = [
        "# Damaged files and killed commands",
        "",
        f"`{document['command']}` on {machine['processor']}, Python {machine['python']}.",
        "",
        "A case is one damaged file, used in the same way as by the commands. Refused: a one-line error of metaser. A "
        "hang is more than 10 s, memory is more than 1 GB for one case, a crash is a process that ended.",
        "",
        "| kind | cases | accepted | refused | " + " | ".join(SORTS) + " | slowest, s | most memory, MB | seconds |",
        "| --- |" + " ---: |" * (6 + len(SORTS)),
        *(_row(WORDS[name], found) for name, found in damaged.items()),
    ]
    if "kill" in kinds:
        lines += ["", *_kill_lines(kinds["kill"])]
    listed = [line for name, found in damaged.items() for line in _listed(name, found)]
    if listed:
        lines += ["", "Remaining problems:", "", *listed]
    return "\n".join(lines) + "\n"


def _row(words: str, found: dict[str, Any]) -> str:
    outcomes = found["outcomes"]
    cells = [found["cases"], outcomes.get("accepted", 0), outcomes.get("refused", 0)]
    cells += [found["findings"][sort] for sort in SORTS]
    cells += [found["slowest_case_s"], found["most_memory_mb"], found["seconds"]]
    return f"| {words} | " + " | ".join(map(str, cells)) + " |"


def _kill_lines(kill: dict[str, Any]) -> list[str]:
    """A row for each command."""
    return [
        f"{kill['cases']} kills in {kill['seconds']} s. Half are distributed evenly over the run, half come soon after "
        "the first change in the folder. Left: the state after the kill, and how often. In between: profile and undo "
        "copy are both complete, and one of them is already replaced.",
        "",
        "| command | kills | left | lost, half-written or not cleaned |",
        "| --- | ---: | --- | ---: |",
        *(
            f"| {name} | {found['kills']} | "
            + ", ".join(f"{word} {count}" for word, count in sorted(found["left"].items(), key=lambda item: -item[1]))
            + f" | {sum(found['findings'].values())} |"
            for name, found in kill["commands"].items()
        ),
    ]


def _listed(name: str, found: dict[str, Any]) -> list[str]:
    return [
        f"- {name}, {sort}, seed {case['seed']}: {str(case.get('message') or case.get('stray_warnings'))[:200]}"
        for sort, cases in found["listed"].items()
        for case in cases[:3]
    ]
