"""The option --plot, checked before the work that it shows."""

from __future__ import annotations

from pathlib import Path


def check_plot(plot: Path | None) -> None:
    """Check --plot before the measurement.

    Raises:
        InputError: it is not a .png file.
        NotFoundError: its folder does not exist.
        MissingDependencyError: matplotlib is missing.
    """
    from metaser.runtime.errors import InputError, MissingDependencyError, NotFoundError
    from metaser.runtime.system.files import what_is_no_file

    if plot is None:
        return
    if plot.suffix.lower() != ".png":
        raise InputError(f"{plot} is not a .png file: plots are written as PNG")
    if found := what_is_no_file(plot):
        raise InputError(f"{plot} is {found}: choose another path")
    if not plot.absolute().parent.is_dir():
        raise NotFoundError(f"no such folder: {plot.absolute().parent}")
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingDependencyError("a plot needs matplotlib: pip install 'metaser[plots]'")
