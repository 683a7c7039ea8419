"""Which packages are installed, and which of them get in each other's way."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib import metadata

PACKAGES = ("metaser", "numpy", "soundfile", "soxr")
ONNXRUNTIME = "onnxruntime"


def versions() -> dict[str, str]:
    """Name -> version, of Python and of what a figure depends on, every onnxruntime wheel included."""
    found = {name: version for name in PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **found, **onnxruntime_wheels()}


def onnxruntime_wheels(path: Sequence[str] | None = None) -> dict[str, str]:
    """Name -> version of the installed wheels that bring the module onnxruntime; more than one overwrite each other.

    onnxruntime, onnxruntime-gpu, onnxruntime-openvino and others write to the same folder, and pip lets them.
    `path` is where to look, by default where Python does.
    """
    wheels: dict[str, str] = {}
    for wheel in metadata.distributions(path=list(sys.path if path is None else path)):
        name = wheel.name or ""
        record = wheel.read_text("RECORD") or ""  # `wheel.files` leaves out what is gone, from Python 3.12 on
        brings_it = any(line.startswith("onnxruntime/__init__.py,") for line in record.splitlines())
        if name.lower().startswith(ONNXRUNTIME) and brings_it:
            wheels.setdefault(name.lower().replace("_", "-"), wheel.version)
    return dict(sorted(wheels.items()))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
