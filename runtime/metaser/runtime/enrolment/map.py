"""A map of a profile's clips by the two principal components of their embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.scoring.decision import unit
from metaser.runtime.system.plot_file import drawn, new_figure, save_figure

MARKERS = "osD^vP*X<>"
SIZE_INCH = 6.0


def coordinates(profile: Profile) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """[M, 2] of the clips and [C, 2] of the prototypes by principal components, and the explained share of variance.

    The components are those of the unit embeddings, with signs such that the largest weight of each is positive.
    """
    clips, prototypes = unit(profile.embedded), unit(profile.prototypes)
    centre = clips.mean(axis=0)
    _, spread, directions = np.linalg.svd(clips - centre, full_matrices=False)
    axes = directions[:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    axes = np.concatenate([axes, np.zeros((2 - len(axes), axes.shape[1]))])  # a single component gives a line
    total = float(np.square(spread).sum())
    shown = float(np.square(spread[:2]).sum()) / total if total else 1.0
    return (clips - centre) @ axes.T, (prototypes - centre) @ axes.T, shown


def draw_map(profile: Profile, path: Path) -> None:
    """Write the map as PNG: one mark per clip, one cross per prototype.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        WorkError: the file cannot be written.
    """
    figure, axes = new_figure(SIZE_INCH, SIZE_INCH)
    clips, prototypes, shown = coordinates(profile)
    for number, label in enumerate(profile.labels):
        own = clips[profile.targets == number]
        colour, marker = f"C{number % 10}", MARKERS[number % len(MARKERS)]
        name = f"\u200b{drawn(label)}"  # a legend leaves out names that begin with _
        axes.scatter(own[:, 0], own[:, 1], color=colour, marker=marker, alpha=0.7, label=name)
        axes.scatter(prototypes[number, 0], prototypes[number, 1], color=colour, marker="x", s=120)
    axes.set(xticks=[], yticks=[], title=f"Clips and prototypes (crosses), {shown:.0%} of the spread")
    axes.legend(loc="best")
    save_figure(figure, path)
