"""The NVIDIA GPU and the TensorRT version of this machine, read from their own libraries."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from metaser.runtime.errors import MissingDependencyError

CUDA_LIBRARY = "libcuda.so.1"
TENSORRT_LIBRARIES = [f"libnvinfer.so.{major}" for major in (11, 10, 8)]
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute of cuda.h
MAX_NAME_BYTES = 256
NEW_SCHEME_FROM = 10_000


def gpu_facts() -> dict[str, str]:
    """Name, compute capability and driver of the first NVIDIA GPU.

    Raises:
        MissingDependencyError: there is none, or no driver.
    """
    cuda = _load([CUDA_LIBRARY])
    if cuda is None:
        raise MissingDependencyError(
            f"no NVIDIA GPU: the driver's library {CUDA_LIBRARY} is not on this machine; run with --provider cpu"
        )
    device, count, driver = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(MAX_NAME_BYTES)
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(cuda.cuInit(0), "cuInit")
    _check(cuda.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    if count.value == 0:
        raise MissingDependencyError("no NVIDIA GPU: the driver is installed but finds none; run with --provider cpu")
    _check(cuda.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
    _check(cuda.cuDeviceGetName(name, MAX_NAME_BYTES, device), "cuDeviceGetName")
    _check(cuda.cuDeviceGetAttribute(ctypes.byref(major), CAPABILITY_MAJOR, device), "cuDeviceGetAttribute")
    _check(cuda.cuDeviceGetAttribute(ctypes.byref(minor), CAPABILITY_MINOR, device), "cuDeviceGetAttribute")
    _check(cuda.cuDriverGetVersion(ctypes.byref(driver)), "cuDriverGetVersion")
    return {
        "gpu": name.value.decode(errors="replace"),
        "compute_capability": f"{major.value}.{minor.value}",
        "cuda_driver": str(driver.value),
    }


def tensorrt_version() -> str:
    """The version of TensorRT's library, such as "10.3.0"; the library stays loaded for ONNX Runtime.

    Raises:
        MissingDependencyError: it is not on this machine.
    """
    library = _load([*_tensorrt_in_site_packages(), *TENSORRT_LIBRARIES])
    if library is None:
        raise MissingDependencyError(
            "TensorRT is not on this machine (no libnvinfer): install the version that your onnxruntime-gpu requires, "
            "or run with --provider cuda"
        )
    return decoded_version(int(library.getInferLibVersion()))


def decoded_version(number: int) -> str:
    """100300 -> "10.3.0" and, of the older scheme, 8601 -> "8.6.1"."""
    unit = 10_000 if number >= NEW_SCHEME_FROM else 1000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def _tensorrt_in_site_packages() -> list[str]:
    """Library paths of `pip install tensorrt`, which the system's loader does not search."""
    found = find_spec("tensorrt_libs")
    folders = list(found.submodule_search_locations or []) if found else []
    paths = [path for folder in folders for path in Path(folder).glob("libnvinfer.so.*")]
    return [str(path) for path in sorted(paths)]


def _load(names: list[str]) -> ctypes.CDLL | None:
    for name in names:
        with suppress(OSError):  # there is no library of that name
            return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    return None


def _check(code: int, call: str) -> None:
    if code != 0:
        raise MissingDependencyError(f"the NVIDIA driver fails ({call}: error {code}): run with --provider cpu")
