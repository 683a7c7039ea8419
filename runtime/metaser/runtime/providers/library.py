"""The library of a provider of ONNX Runtime, and the library that it needs and this machine lacks."""

from __future__ import annotations

import ctypes
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

NOT_FOUND = "cannot open shared object file"
"""In the dynamic linker's message; its other messages are about how it was asked here."""


def load_cuda_libraries(onnxruntime: Any) -> None:
    """Load CUDA and cuDNN from NVIDIA's Python packages, as in `onnxruntime-gpu[cuda,cudnn]`, if they are there.

    The dynamic linker does not look into those packages. What is missing everywhere is reported by whoever needs it, so
    what ONNX Runtime prints about it is dropped.
    """
    with redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls(msvc=False)


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
