"""ONNX Runtime sessions with the settings of a small device, on the provider that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from metaser.runtime.errors import BundleError, InputError, MissingDependencyError, WorkError

if TYPE_CHECKING:
    import onnxruntime

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
EXTRAS = {"cpu": "cpu", "cuda": "gpu", "tensorrt": "gpu", "openvino": "openvino"}
ERRORS_ONLY = 3


def import_onnxruntime() -> Any:
    """The onnxruntime module, imported on first use.

    Raises:
        MissingDependencyError: none of its packages is installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "onnxruntime is not installed: pip install 'metaser[cpu]' (or one of 'metaser[gpu]', 'metaser[openvino]')"
        ) from error
    return onnxruntime


def choose_provider(asked: str, intended: list[str]) -> str:
    """The name ("cpu", "cuda", ...) to run on; `auto` takes the first one the bundle is meant for that is here.

    Raises:
        InputError: the name is not known.
        MissingDependencyError: the provider is not in this installation of onnxruntime.
    """
    available = import_onnxruntime().get_available_providers()
    if asked == "auto":
        return next((name for name in intended if PROVIDERS.get(name) in available), "cpu")
    if asked not in PROVIDERS:
        raise InputError(f"no provider is called {asked!r}: choose auto, {', '.join(PROVIDERS)}")
    if PROVIDERS[asked] not in available:
        raise MissingDependencyError(
            f"provider {asked} is not in this onnxruntime (it has {', '.join(available)}): "
            f"pip install 'metaser[{EXTRAS[asked]}]' in an environment of its own"
        )
    return asked


def open_session(path: Path, provider: str, threads: int | None) -> onnxruntime.InferenceSession:
    """A session for one graph, which is on `provider` or not at all.

    Raises:
        InputError: `threads` is not above zero.
        BundleError: onnxruntime refuses the graph.
        MissingDependencyError: the provider did not start on this machine.
    """
    ort = import_onnxruntime()
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}: give 1 or more")
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # it keeps a plan, and memory, for every length ever seen
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning burns a core between windows
    wanted = [PROVIDERS[provider]] + (["CPUExecutionProvider"] if provider != "cpu" else [])
    try:
        session = ort.InferenceSession(str(path), options, providers=wanted)
    except _failures() as error:
        raise BundleError(f"onnxruntime {ort.__version__} refuses {path.name}: {str(error).splitlines()[0]}") from error
    if PROVIDERS[provider] not in session.get_providers():
        raise MissingDependencyError(
            f"provider {provider} was asked for and did not start (running on {', '.join(session.get_providers())}): "
            "run with --provider cpu, or install the libraries it needs"
        )
    return session


def run(session: onnxruntime.InferenceSession, output: str, feeds: dict[str, Any]) -> npt.NDArray[np.float32]:
    """One output of a graph.

    Raises:
        WorkError: the run failed, for want of memory say.
    """
    try:
        found: npt.NDArray[np.float32] = session.run([output], feeds)[0]
    except _failures() as error:
        raise WorkError(f"the model failed to run: {str(error).splitlines()[0]}") from error
    return found


def _failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for a graph it cannot load: unrelated classes, each straight under Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )
