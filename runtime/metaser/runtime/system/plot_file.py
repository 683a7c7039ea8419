"""Drawing a figure and writing its file; matplotlib is imported on first use."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.runtime.errors import MissingDependencyError
from metaser.runtime.system.files import PERSONAL, replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(width_inch: float, height_inch: float) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # without pyplot there is no global state and no display
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install 'metaser[plots]'") from error
    figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
    return figure, figure.add_subplot()


def drawn(label: str) -> str:
    """A label to draw with matplotlib: dollars do not start formulas, and control characters are boxes."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in label).replace("$", r"\$")


def save_figure(figure: Figure, path: Path, *, dots_an_inch: int = 120, mode: int = PERSONAL) -> None:
    """Write a figure as PNG atomically; `mode` as for `replacing`.

    Raises:
        InputError: what is at `path` is not a regular file.
        WorkError: the file cannot be written.
    """
    picture = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box is drawn for it
        figure.savefig(picture, format="png", dpi=dots_an_inch, metadata={"Software": None})
    replace_file(path, picture.getvalue(), mode=mode)
