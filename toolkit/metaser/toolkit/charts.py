"""Plots as PNG files; matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from metaser.runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCH_A_CLASS = 0.6
DARK = 0.5
"""Above this share a cell is dark and its figure white."""


def draw_confusion(path: Path, confusion: npt.NDArray[np.int64], classes: Sequence[str], title: str) -> None:
    """Write a confusion matrix [C, C], rows the classes, in per cent of each row.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    size = 2.5 + INCH_A_CLASS * len(classes)
    figure, axes = _figure(size, size)
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > DARK else "black"
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="answer", ylabel="class", title=f"{title}, % of each class")
    _save(figure, path)


def draw_lines(
    path: Path, x: Sequence[Any], lines: Mapping[str, Sequence[tuple[float, float]]], labels: tuple[str, str]
) -> None:
    """Write a line a name over `x`, each point a value with half of its interval; `labels` of the x and y axis.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = _figure(6.0, 4.0)
    for name, points in lines.items():
        values, halves = zip(*points, strict=True)
        axes.errorbar(range(len(x)), values, yerr=halves, label=name, marker="o", capsize=3)
    axes.set_xticks(range(len(x)), [str(value) for value in x])
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def _figure(width_inch: float, height_inch: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure  # without pyplot there is no global state and no display
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install 'metaser[plots]'") from error
    figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
