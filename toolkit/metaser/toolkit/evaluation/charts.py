"""Plots as PNG files; matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metaser.runtime.system.files import SHARED
from metaser.runtime.system.plot_file import drawn, new_figure, save_figure

INCH_A_CLASS = 0.6
DARK = 0.5
"""Above this share a cell is dark and its number is white."""


def draw_confusion(
    path: Path, confusion: npt.NDArray[np.int64], classes: Sequence[str], title: str, answers: Sequence[str] = ()
) -> None:
    """Write a confusion matrix [C, A], rows the classes, in per cent of each row; without `answers` these are C too.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    size = 2.5 + INCH_A_CLASS * len(classes)
    figure, axes = new_figure(size, size)
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > DARK else "black"
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour)
    columns = answers or classes
    axes.set_xticks(range(len(columns)), map(drawn, columns), rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), map(drawn, classes))
    axes.set(xlabel="answer", ylabel="class", title=f"{drawn(title)}, % of each class")
    save_figure(figure, path, mode=SHARED)


def draw_lines(
    path: Path, x: Sequence[Any], lines: Mapping[str, Sequence[tuple[float, float]]], labels: tuple[str, str]
) -> None:
    """Plot one line per name over `x`; each point is a value with half of its interval; `labels` of the x and y axis.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = new_figure(6.0, 4.0)
    for name, points in lines.items():
        values, halves = zip(*points, strict=True)
        axes.errorbar(range(len(x)), values, yerr=halves, label=name, marker="o", capsize=3)
    axes.set_xticks(range(len(x)), [str(value) for value in x])
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path, mode=SHARED)
