"""The library of a provider of ONNX Runtime, and the library that it needs and this machine lacks."""

from __future__ import annotations

import ctypes
from pathlib import Path

NOT_FOUND = "cannot open shared object file"
"""In the dynamic linker's message; its other messages are about how it was asked here."""


def missing_library(package: Path, provider: str) -> str | None:
    """What the dynamic linker says about a provider ("cuda", ...) that it cannot load; None if it misses nothing.

    ONNX Runtime itself writes this to standard error and raises nothing.

    Parameters:
        package: the folder of the module onnxruntime.
    """
    library = package / "capi" / f"libonnxruntime_providers_{provider}.so"
    if not library.is_file():
        return None
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error) if NOT_FOUND in str(error) else None
    return None
