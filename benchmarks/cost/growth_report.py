"""The tables and the plot of the growth of costs, from their JSON document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.markdown import table
from metaser.runtime.system.plot_file import new_figure, save_figure


def to_markdown(document: dict[str, Any], picture: str) -> str:
    """The page: machine, costs, fits and explanation."""
    machine, lengths, streams = document["machine"], document["lengths"], document["streams"]
    products = document["matrix_product_ms"]
    seconds = list(next(iter(lengths.values()))["ms"])
    rows = [[name, *(f"{own['ms'][at]:.1f}" for at in seconds)] for name, own in lengths.items()]
    fits = [
        [
            name,
            _exponent(own["power_law"]),
            _exponent(own["power_law_in_one_window"]),
            _polynomial(own["quadratic_in_one_window"]),
            f"{100 * own['quadratic_share_of_longest']:.0f} % at {own['longest_window_s']:g} s",
        ]
        for name, own in lengths.items()
    ]
    sections = [
        "# Growth of the cost",
        f"{machine['processor']} ({', '.join(machine['flags']) or 'no vector flags'}), {machine['cores']} cores, "
        f"commit {machine['commit']}. `{document['command']}`",
        f"A fixed 1024³ float32 product took {min(products):.1f} to {max(products):.1f} ms around the parts.",
        "## With the length of a clip",
        f"Milliseconds to embed a clip on {document['threads']} thread: medians of {document['repetitions']} runs, "
        "each after one warm-up run, bundles in turn, lengths in a new order each time.",
        table(["", *(f"{at} s" for at in seconds)], rows),
        "Cost is a · Tᵇ with the 95 % interval of b, over all lengths and over clips in one window; longer clips are "
        "cut into equal windows. In one window also c + d · T + e · T² in milliseconds, and the share of the T² term.",
        table(["", "b", "b, one window", "one window", "share of T²"], fits),
        "## With the number of streams",
        f"Live streams of the bundle {streams['bundle']}, {document['streamed_s']:g} s of the demonstration's "
        "conversation into each in real time, each from a different start.",
        table(
            ["streams", "processor, s per second of one stream", "cores in all", "p95, ms", "lost, ms", "overloads"],
            [
                [
                    count,
                    f"{run['core_share_a_stream']:.3f}",
                    f"{run['cores_all_streams']:.2f}",
                    f"{run['window_to_event_ms_p95']:.0f}",
                    f"{run['dropped_ms']:g}",
                    f"{run['overload_events']}",
                ]
                for count, run in streams["runs"].items()
            ],
        ),
        _growth_of_streams(streams["power_law"]),
        f"![cost over the length]({picture})",
    ]
    return "\n\n".join(sections) + "\n"


def draw(document: dict[str, Any], path: Path) -> None:
    """Write milliseconds over the length with the fitted line of each bundle, both axes logarithmic, as PNG."""
    figure, axes = new_figure(7.0, 5.0)
    for name, own in document["lengths"].items():
        seconds = np.array([float(at) for at in own["ms"]])
        law = own["power_law"]
        label = f"{name}: T to the power {_exponent(law)}"
        (line,) = axes.plot(seconds, list(own["ms"].values()), marker="o", linestyle="", label=label)
        axes.plot(seconds, law["factor"] * seconds ** law["exponent"], color=line.get_color(), alpha=0.6)
    axes.set(xscale="log", yscale="log", xlabel="clip, s", ylabel=f"ms on {document['threads']} thread")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save_figure(figure, path)


def _growth_of_streams(law: dict[str, float] | None) -> str:
    if law is None:
        return "Fewer than three runs had no overload, so no growth is fitted."
    return f"Cores in all grow with the streams to the power {_exponent(law)}, over the runs without overload."


def _exponent(law: dict[str, float]) -> str:
    return f"{law['exponent']:.2f} [{law['low']:.2f}, {law['high']:.2f}]"


def _polynomial(fit: dict[str, float]) -> str:
    return f"{fit['constant']:.1f} {fit['linear']:+.1f} · T {fit['quadratic']:+.3f} · T²"
