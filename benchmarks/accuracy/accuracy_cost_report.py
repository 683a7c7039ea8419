"""The table and the plot of accuracy against cost, from their JSON document; one part may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.accuracy.scores import markdown
from benchmarks.markdown import table
from metaser.runtime.system.plot_file import new_figure, save_figure

TITLES = {"disjoint": "unseen speakers", "same": "same speaker"}


def to_markdown(document: Mapping[str, Any], picture: str | None) -> str:
    """The page: conditions, one row per bundle, and the accuracies by corpus."""
    accuracy, cost = document.get("accuracy"), document.get("cost")
    sections = ["# Accuracy against cost", f"`{document['command']}`"]
    if accuracy:
        sections.append(
            f"Accuracy: {accuracy['protocol']}, commit {accuracy['commit']}; in per cent ± half of its 95 % interval "
            "over episodes, means over three corpora, chance is 25."
        )
    if cost:
        machine, products = cost["machine"], cost["matrix_product_ms"]
        sections.append(
            f"Cost: {machine['processor']} ({', '.join(machine['flags']) or 'no vector flags'}), {machine['cores']} "
            f"cores, commit {cost['commit']}; medians of {cost['runs']} runs in turn, from {cost['clip_s']:g} s of "
            f"samples to the embedding. A fixed 1024³ float32 product took {min(products):.1f} to {max(products):.1f} "
            "ms before the threads."
        )
    sections += [f"**{warning}**" for warning in mismatches(document)]
    sections.append(_rows(accuracy, cost))
    if picture:
        sections.append(f"![accuracy over milliseconds]({picture})")
    if accuracy:
        sections += [
            "## By corpus",
            "Differences are paired by episode and query; brackets give the 95 % interval over speakers. Bold: "
            "both intervals exclude zero.",
            markdown(accuracy["scores"]),
        ]
    return "\n\n".join(sections) + "\n"


def mismatches(document: Mapping[str, Any]) -> list[str]:
    """Report bundles whose two parts were measured with different graphs, or of which only one was measured."""
    accuracy, cost = (document.get(part, {}).get("models") for part in ("accuracy", "cost"))
    if not accuracy or not cost:
        return []
    names = [name for name in {**accuracy, **cost} if accuracy.get(name) != cost.get(name)]
    return [f"Accuracy and cost of {name} were measured with different graphs: measure both again." for name in names]


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Write accuracy over milliseconds on one thread as PNG, one mark per bundle and speaker split."""
    means, bundles = document["accuracy"]["means"], document["cost"]["bundles"]
    threads = str(min(document["cost"]["threads"]))
    names = [name for name in bundles if name in means]
    figure, axes = new_figure(6.5, 4.5)
    for split, title in TITLES.items():
        at = [bundles[name]["ms"][threads] for name in names]
        values = [means[name][split]["mean"] for name in names]
        halves = [means[name][split]["interval"] for name in names]
        axes.errorbar(at, values, yerr=halves, label=title, marker="o", linestyle="", capsize=3)
        for name, x, y in zip(names, at, values, strict=True):
            axes.annotate(name, (x, y), xytext=(6, 4), textcoords="offset points", fontsize="small")
    axes.set(xscale="log", xlabel=f"ms for {document['cost']['clip_s']:g} s on {threads} thread", ylabel="accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save_figure(figure, path)


def _rows(accuracy: Mapping[str, Any] | None, cost: Mapping[str, Any] | None) -> str:
    means = accuracy["means"] if accuracy else {}
    bundles = cost["bundles"] if cost else {}
    threads = [str(count) for count in cost["threads"]] if cost else []
    rows = []
    for name in dict.fromkeys([*means, *bundles]):
        own = bundles.get(name)
        row = [
            f"{means[name][split]['mean']:.1f} ± {means[name][split]['interval']:.1f}" if name in means else ""
            for split in TITLES
        ]
        row += [f"{own['ms'][count]:.1f}" if own else "" for count in threads]
        row += [f"{own['size_mb']:.1f}", f"{own['peak_mb']:.0f}"] if own else [""] * (2 if cost else 0)
        rows.append([name, *row])
    columns = [*TITLES.values(), *(f"ms, {count} thr." for count in threads)]
    return table(["", *columns, *(["files, MB", "peak memory, MB"] if cost else [])], rows)
