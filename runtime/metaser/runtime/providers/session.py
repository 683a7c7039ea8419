"""ONNX Runtime sessions with the settings of a small device, on the requested provider."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from metaser.runtime.errors import BundleError, InputError, MissingDependencyError, WorkError
from metaser.runtime.providers.integer_products import ask_for_exact_products
from metaser.runtime.providers.library import load_cuda_libraries, missing_library
from metaser.runtime.system.cores import limited_threads
from metaser.runtime.system.interrupts import interrupts_held

if TYPE_CHECKING:
    import onnxruntime

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
EXTRAS = {"cpu": "cpu", "cuda": "gpu", "tensorrt": "gpu", "openvino": "openvino"}
GPU_PROVIDERS = ("cuda", "tensorrt")
EXACT_PRODUCTS = {"cuda": {"use_tf32": "0"}}
"""Options by provider: CUDA otherwise rounds float32 factors to the 10 bits of TF32, too few for an fp32 bundle."""
DEFAULT_SEVERITY, ERRORS_ONLY, FATAL_ONLY = 2, 3, 4
SOURCE_PLACE = re.compile(r"^\S+\.(?:cc|cpp|h):\d+ .*?\) (?=\S)")
ENCODER_NAMES = ("input_values", "input_lengths", "last_hidden_state", "frame_lengths")
HEAD_NAMES = ("frames", "frame_mask", "embedding")


def import_onnxruntime() -> Any:
    """The onnxruntime module, imported on first use, without its telemetry.

    Its official wheels from 1.29 on send events to Microsoft and keep a device id in the user's cache folder, unless
    this variable is set before the module is loaded (onnxruntime's docs/Privacy.md). Ctrl-C waits until it is loaded:
    an exception from its callbacks into Python aborts the process.

    Raises:
        MissingDependencyError: none of its packages is installed, or uninstalling one deleted files of another.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        with interrupts_held():
            import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "onnxruntime is not installed: pip install 'metaser[cpu]' (or one of 'metaser[gpu]', 'metaser[openvino]')"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise MissingDependencyError(
            "onnxruntime is damaged, as after uninstalling one of two packages of it: see metaser doctor"
        )
    return onnxruntime


def choose_providers(asked: str, intended: list[str], precision: str) -> list[str]:
    """The names ("cpu", "cuda", ...) to try in turn; `auto`: the bundle's intended providers that onnxruntime has.

    Raises:
        InputError: the name is unknown, or it does not support the precision.
        MissingDependencyError: the provider is not in this installation of onnxruntime.
    """
    available = import_onnxruntime().get_available_providers()
    if asked == "auto":
        return [name for name in intended if PROVIDERS.get(name) in available and name != "cpu"] + ["cpu"]
    if asked not in PROVIDERS:
        raise InputError(f"no provider is called {asked!r}: choose auto, {', '.join(PROVIDERS)}")
    if PROVIDERS[asked] not in available:
        raise MissingDependencyError(
            f"provider {asked} is not in this onnxruntime (it has {', '.join(available)}): "
            f"pip install 'metaser[{EXTRAS[asked]}]' in an environment of its own"
        )
    if precision == "int8" and asked in GPU_PROVIDERS:
        raise InputError(f"an int8 bundle is for the CPU and not for {asked}: export one with --fp16")
    return [asked]


def session_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """The settings of every session: those of a small device, with integer products that are exact on every processor.

    Without `threads` there is one thread per core that this process may use.

    Raises:
        InputError: `threads` is not above zero.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}: give 1 or more")
    options = import_onnxruntime().SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads or limited_threads() or 0  # 0: one thread per core of the machine
    options.enable_mem_pattern = False  # it keeps a plan, with its memory, for every length
    options.add_session_config_entry("session.force_spinning_stop", "1")  # spinning wastes a core between windows
    ask_for_exact_products(options)
    return options


def open_session(  # noqa: PLR0913 # a graph, where it runs, and its options
    path: Path,
    provider: str,
    threads: int | None,
    needs: tuple[str, ...],
    *,
    provider_options: dict[str, str] | None = None,
    profile: Path | None = None,
) -> onnxruntime.InferenceSession:
    """A session for one graph on exactly this `provider`; `needs` are inputs and outputs that it must have.

    With `profile`, the prefix of a file's path, ONNX Runtime records what ran where until `end_profiling`.

    Raises:
        InputError: `threads` is not above zero.
        BundleError: onnxruntime refuses the graph, or inputs or outputs are missing.
        MissingDependencyError: the provider did not start on this machine, or cannot run this graph.
    """
    options = session_options(threads)
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if provider == "cpu":
        session = _open_on_cpu(path, options)
    else:
        provider_options = {**EXACT_PRODUCTS.get(provider, {}), **(provider_options or {})}
        session = _open_on_provider(path, provider, options, provider_options)
    if PROVIDERS[provider] not in session.get_providers():
        reason = _missing_library(provider) or f"onnxruntime took {', '.join(session.get_providers())}"
        raise MissingDependencyError(
            f"provider {provider} did not start ({reason}): "
            "run with --provider cpu, or install the libraries that it needs"
        )
    names = {given.name for given in session.get_inputs()} | {given.name for given in session.get_outputs()}
    if missing := [name for name in needs if name not in names]:
        raise BundleError(f"{path.name} has no {', '.join(missing)}: export the bundle again")
    return session


def _open_on_cpu(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    ort = import_onnxruntime()
    try:
        return ort.InferenceSession(str(path), options, providers=[PROVIDERS["cpu"]])
    except _failures() as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(f"onnxruntime {ort.__version__} refuses {path.name}: {reason}") from error


def _open_on_provider(
    path: Path, provider: str, options: onnxruntime.SessionOptions, provider_options: dict[str, str]
) -> onnxruntime.InferenceSession:
    """List the CPU too, for shapes and masks that no other provider supports, but never run the whole graph on it.

    With its fallback enabled, the InferenceSession prints to standard output and starts again on the CPU.
    """
    ort = import_onnxruntime()
    if provider in GPU_PROVIDERS:
        load_cuda_libraries(ort)
    options.log_severity_level = FATAL_ONLY  # the error is raised as well, and reported in one line
    ort.set_default_logger_severity(FATAL_ONLY)  # for messages before the session exists
    try:
        return ort.InferenceSession(
            str(path),
            options,
            providers=[(PROVIDERS[provider], provider_options), PROVIDERS["cpu"]],
            enable_fallback=False,
        )
    except _failures() as error:
        if missing := _missing_library(provider):
            raise MissingDependencyError(
                f"provider {provider} did not start ({missing}): "
                "run with --provider cpu, or install the libraries that it needs"
            ) from error
        raise MissingDependencyError(
            f"provider {provider} cannot run {path.name} ({_reason(error)}): "
            "run with --provider cpu, or use a bundle that was exported for it"
        ) from error
    finally:
        ort.set_default_logger_severity(DEFAULT_SEVERITY)


def _missing_library(provider: str) -> str | None:
    return missing_library(Path(import_onnxruntime().__file__).parent, provider)


def run(session: onnxruntime.InferenceSession, output: str, feeds: dict[str, Any]) -> npt.NDArray[np.float32]:
    """One output of a graph.

    Raises:
        WorkError: the run failed, e.g. out of memory.
    """
    return run_all(session, feeds, [output])[output]


def check_finite(values: npt.NDArray[np.floating], what: str) -> None:
    """Raise WorkError if a graph's output holds NaN or infinity."""
    if not np.isfinite(values).all():
        raise WorkError(f"{what} is not finite: check the bundle with `metaser verify`, or use another provider")


def run_all(
    session: onnxruntime.InferenceSession, feeds: dict[str, Any], outputs: list[str] | None = None
) -> dict[str, npt.NDArray[np.float32]]:
    """The outputs of a graph by name; all of them if none are named.

    Raises:
        WorkError: the run failed, e.g. out of memory.
    """
    names = outputs or [given.name for given in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, feeds), strict=True))
    except _failures() as error:
        raise WorkError(f"the model failed to run: {_reason(error)}") from error


def run_bound(session: onnxruntime.InferenceSession, binding: onnxruntime.IOBinding) -> None:
    """Run a graph on arrays that were bound once, which is faster for small graphs.

    Raises:
        WorkError: as `run`.
    """
    try:
        session.run_with_iobinding(binding)
    except _failures() as error:
        raise WorkError(f"the model failed to run: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The last line, without the location in onnxruntime's source; the lines before it are only locations."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return SOURCE_PLACE.sub("", lines[-1]) if lines else type(error).__name__


def _failures() -> tuple[type[Exception], ...]:
    """The exceptions that onnxruntime raises for a graph it cannot load or run.

    These are its own classes, each a direct subclass of Exception, and Python's exceptions for C++ errors, for names
    that are not UTF-8, and for missing inputs.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        *(IndexError, MemoryError, RuntimeError, TypeError, ValueError),
    )
