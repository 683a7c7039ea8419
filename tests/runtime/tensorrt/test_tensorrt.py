"""TensorRT without a GPU: what an engine depends on, its options, and its messages."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaser.runtime import Engine, InputError, MissingDependencyError
from metaser.runtime.bundles.bundle import TENSORRT_GRAPH
from metaser.runtime.bundles.manifest import FileEntry
from metaser.runtime.tensorrt.engine_cache import cache_key
from metaser.runtime.tensorrt.gpu import CUDA_LIBRARY, decoded_version, gpu_facts
from metaser.runtime.tensorrt.tensorrt import engine_facts, provider_options, tensorrt_graph_path

GPU = {"gpu": "Orin", "compute_capability": "8.7", "cuda_driver": "12060"}


def test_a_bundle_without_the_graph_says_how_to_export_it(engine: Engine) -> None:
    with pytest.raises(InputError, match="has no graph for TensorRT: export it with --tensorrt --window S"):
        tensorrt_graph_path(engine.bundle)


def test_a_machine_without_a_driver_says_so() -> None:
    if Path("/dev/nvidiactl").exists() or Path("/dev/nvmap").exists():
        pytest.skip("this machine has an NVIDIA GPU")
    with pytest.raises(MissingDependencyError, match=f"{CUDA_LIBRARY} is not on this machine|no NVIDIA GPU"):
        gpu_facts()


@pytest.mark.parametrize(("number", "text"), [(100300, "10.3.0"), (101501, "10.15.1"), (8601, "8.6.1")])
def test_versions_of_both_numbering_schemes_are_read(number: int, text: str) -> None:
    assert decoded_version(number) == text


def with_graph(engine: Engine, sha256: str = "ab" * 32, **changes: Any) -> Any:
    manifest = engine.bundle.manifest
    files = {**manifest.files, TENSORRT_GRAPH: FileEntry("tensorrt", sha256, 1)}
    return replace(engine.bundle, manifest=replace(manifest, files=files, precision="fp16", **changes))


def test_an_engine_depends_on_graph_versions_gpu_and_precision_and_not_on_the_bundles_name(engine: Engine) -> None:
    bundle = with_graph(engine)
    key = cache_key(engine_facts(bundle, GPU, "10.3.0"))
    assert key == cache_key(engine_facts(with_graph(engine, name="renamed"), GPU, "10.3.0"))
    others = [
        engine_facts(with_graph(engine, sha256="cd" * 32), GPU, "10.3.0"),
        engine_facts(bundle, GPU, "10.4.0"),
        engine_facts(replace(bundle, manifest=replace(bundle.manifest, precision="fp32")), GPU, "10.3.0"),
        *(engine_facts(bundle, {**GPU, name: "another"}, "10.3.0") for name in GPU),
    ]
    assert len({key, *map(cache_key, others)}) == 1 + len(others)


def test_half_precision_keeps_layer_norms_in_float32_and_only_builds_write_timings(tmp_path: Path) -> None:
    building = provider_options(tmp_path / "engine", "fp16", tmp_path / "timings")
    assert (building["trt_fp16_enable"], building["trt_layer_norm_fp32_fallback"]) == ("True", "True")
    assert building["trt_timing_cache_path"] == str(tmp_path / "timings")
    loading = provider_options(tmp_path / "engine", "fp32")
    assert (loading["trt_fp16_enable"], loading["trt_engine_cache_path"]) == ("False", str(tmp_path / "engine"))
    assert not any("timing" in name for name in loading)
