"""Exports that replace earlier ones: profiles stay valid if, and only if, the embeddings are the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from metaser.export.bundle import ExportSettings, export_bundle
from metaser.export.identity import graph_id
from metaser.export.source import Source
from metaser.runtime import Engine, ProfileError, open_bundle
from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.bundles.manifest import Precision
from tests.conftest import sing

pytestmark = pytest.mark.usefixtures("traced_once")


def silent(_: str) -> None:
    """Hear nothing."""


def export(source: Source, out: Path, precision: Precision = "fp32") -> None:
    export_bundle(source, out, ExportSettings("tiny", precision, "metaser export", force=True), silent)


@pytest.fixture(scope="module")
def exported(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle; not to be changed, copy it first."""
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    export(source, folder)
    return folder


def earlier(exported: Path, place: Path, factor: float) -> str:
    """A bundle as another version of the export would write it, its largest weight scaled; its graph id."""
    shutil.copytree(exported, place)
    path = place / "encoder.onnx"
    model = onnx.load(path)
    model.producer_name = "an earlier metaser"
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(largest) * np.float32(factor), largest.name))
    onnx.save(model, path)
    document = json.loads((place / "bundle.json").read_text())
    document["files"]["encoder.onnx"] |= {"sha256": sha256_of(path), "size_bytes": path.stat().st_size}
    document["graph_id"] = graph_id(place)
    (place / "bundle.json").write_text(json.dumps(document))
    return str(document["graph_id"])


def support() -> dict[str, list[np.ndarray]]:
    return {label: [sing(label, 1.25, seed) for seed in range(2)] for label in ("calm", "keen")}


def test_a_profile_stays_valid_if_the_new_graphs_give_the_same_embeddings(
    source: Source, exported: Path, tmp_path: Path
) -> None:
    before = earlier(exported, tmp_path / "bundle", 1.0)
    profile = Engine.open(tmp_path / "bundle", provider="cpu").enroll(support())
    profile.save(tmp_path / "profile.safetensors")
    export(source, tmp_path / "bundle")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.graph_id != before
    assert manifest.equal_graphs == [before]
    engine = Engine.open(tmp_path / "bundle", provider="cpu")
    assert engine.open_profile(tmp_path / "profile.safetensors").graph_id == before
    export(source, tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").manifest.equal_graphs == [before]


def test_a_profile_is_refused_if_the_embeddings_differ(source: Source, exported: Path, tmp_path: Path) -> None:
    earlier(exported, tmp_path / "bundle", 1.2)
    Engine.open(tmp_path / "bundle", provider="cpu").enroll(support()).save(tmp_path / "profile.safetensors")
    export(source, tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").manifest.equal_graphs == []
    with pytest.raises(ProfileError, match="another export of the same model"):
        Engine.open(tmp_path / "bundle", provider="cpu").open_profile(tmp_path / "profile.safetensors")


def test_another_precision_and_a_damaged_bundle_are_not_equal(source: Source, exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "bundle")
    export(source, tmp_path / "bundle", "int8")
    assert open_bundle(tmp_path / "bundle").manifest.equal_graphs == []
    shutil.copytree(exported, tmp_path / "damaged")
    (tmp_path / "damaged" / "encoder.onnx").write_bytes(b"no graph")
    export(source, tmp_path / "damaged")
    assert open_bundle(tmp_path / "damaged").manifest.equal_graphs == []
