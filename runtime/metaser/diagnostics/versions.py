"""Installed packages, and those that conflict with each other."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib import metadata

PACKAGES = ("metaser", "numpy", "soundfile", "soxr")
ONNXRUNTIME = "onnxruntime"


def versions() -> dict[str, str]:
    """Name -> version of Python and the packages that results depend on, including every onnxruntime wheel."""
    found = {name: version for name in PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **found, **onnxruntime_wheels()}


def onnxruntime_wheels(path: Sequence[str] | None = None) -> dict[str, str]:
    """Name -> version of the installed wheels that provide the module onnxruntime; several overwrite each other.

    onnxruntime, onnxruntime-gpu, onnxruntime-openvino and others install into the same folder, and pip allows it.
    `path` lists the folders to search, by default those of Python.
    """
    wheels: dict[str, str] = {}
    for wheel in metadata.distributions(path=list(sys.path if path is None else path)):
        name = wheel.name or ""
        record = wheel.read_text("RECORD") or ""  # `wheel.files` omits deleted files since Python 3.12
        brings_it = any(line.startswith("onnxruntime/__init__.py,") for line in record.splitlines())
        if name.lower().startswith(ONNXRUNTIME) and brings_it:
            wheels.setdefault(name.lower().replace("_", "-"), wheel.version)
    return dict(sorted(wheels.items()))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
