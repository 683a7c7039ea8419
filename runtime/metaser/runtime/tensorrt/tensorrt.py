"""The encoder on TensorRT: its engine is built once on this device and kept in a cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metaser.runtime.bundles.bundle import TENSORRT_GRAPH, Bundle
from metaser.runtime.errors import InputError
from metaser.runtime.providers.session import ENCODER_NAMES, import_onnxruntime, open_session
from metaser.runtime.tensorrt.engine_cache import EngineCache
from metaser.runtime.tensorrt.gpu import gpu_facts, tensorrt_version

if TYPE_CHECKING:
    import onnxruntime

TIMINGS = "timings"
"""A cache folder that all builds share: the time of each kernel on this device."""


def open_tensorrt_encoder(
    bundle: Bundle, threads: int | None, engines: EngineCache, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session of the bundle's static graph on TensorRT; `profile` as for `open_session`.

    Raises:
        InputError: the bundle was exported without --tensorrt.
        MissingDependencyError: the GPU or TensorRT is not on this machine.
        WorkError: the cache cannot be written.
    """
    path = tensorrt_graph_path(bundle)
    precision = bundle.manifest.precision
    facts = engine_facts(bundle, gpu_facts(), tensorrt_version())
    timings = engines.root / TIMINGS

    def build(folder: Path) -> None:
        timings.mkdir(parents=True, exist_ok=True)
        open_session(
            path, "tensorrt", threads, ENCODER_NAMES, provider_options=provider_options(folder, precision, timings)
        )

    def load(folder: Path) -> onnxruntime.InferenceSession:
        options = provider_options(folder, precision)
        return open_session(path, "tensorrt", threads, ENCODER_NAMES, provider_options=options, profile=profile)

    engines.notify(f"TensorRT {facts['tensorrt']} on {facts['gpu']}")
    return engines.open(facts, build, load)


def tensorrt_graph_path(bundle: Bundle) -> Path:
    """The static graph of a bundle.

    Raises:
        InputError: it has none.
    """
    if TENSORRT_GRAPH not in bundle.manifest.files:
        raise InputError(
            f"the bundle {bundle.manifest.name} has no graph for TensorRT: export it with --tensorrt --window S, "
            "or run with --provider cuda or cpu"
        )
    return bundle.folder / TENSORRT_GRAPH


def engine_facts(bundle: Bundle, gpu: dict[str, str], tensorrt: str) -> dict[str, str]:
    """Everything that an engine depends on."""
    graphs = {name: entry.sha256 for name, entry in bundle.manifest.files.items() if name.startswith(TENSORRT_GRAPH)}
    return {
        **{f"sha256 of {name}": digest for name, digest in graphs.items()},
        "precision": bundle.manifest.precision,
        "onnxruntime": str(import_onnxruntime().__version__),
        "tensorrt": tensorrt,
        **gpu,
    }


def provider_options(folder: Path, precision: str, timings: Path | None = None) -> dict[str, str]:
    """Options of ONNX Runtime's TensorRT provider for an engine in `folder`; `timings` is only for builds.

    In fp16, layer norms stay in float32, as they are in the graph.
    """
    half = str(precision == "fp16")
    timing = {"trt_timing_cache_enable": "True", "trt_timing_cache_path": str(timings)} if timings else {}
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_fp16_enable": half,
        "trt_layer_norm_fp32_fallback": half,
        "trt_context_memory_sharing_enable": "True",
        **timing,
    }
