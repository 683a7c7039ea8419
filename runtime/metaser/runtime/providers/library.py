"""The shared library of an ONNX Runtime provider, and libraries that it needs but this machine lacks."""

from __future__ import annotations

import ctypes
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

NOT_FOUND = "cannot open shared object file"
"""Part of the dynamic linker's message; its other messages are about the way the library was loaded here."""


def load_cuda_libraries(onnxruntime: Any) -> None:
    """Load CUDA and cuDNN from NVIDIA's Python packages, as in `onnxruntime-gpu[cuda,cudnn]`, if they are there.

    The dynamic linker does not search those packages. ONNX Runtime's printed messages are dropped, because code that
    needs a missing library reports it.
    """
    with redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls(msvc=False)


def missing_library(package: Path, provider: str) -> str | None:
    """The dynamic linker's error for a provider ("cuda", ...) that it cannot load; None if no library is missing.

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
