"""Whole bundles: reproducible, opened by the runtime, never half written."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaser.export import parity
from metaser.export.bundle import ExportSettings, export_bundle
from metaser.export.golden import voiced_waveform
from metaser.export.identity import model_id
from metaser.export.source import Source, open_source
from metaser.runtime import Calibration, Engine, InputError, WorkError, open_bundle
from metaser.runtime.bundles.manifest import PRECISIONS, Precision
from metaser.runtime.scoring.decision import unit
from metaser.toolkit.model.checkpoint import CheckpointMetadata, save_checkpoint
from metaser.toolkit.model.network import ProtoNet, make_head

pytestmark = pytest.mark.usefixtures("traced_once")


def settings(precision: Precision = "fp32", **changes: Any) -> ExportSettings:
    return ExportSettings(name="tiny", precision=precision, command="metaser export tiny bundle", **changes)


def silent(_: str) -> None:
    """Hear nothing."""


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def bundles(source: Source, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle in each precision; not to be changed, copy it first."""
    folder = tmp_path_factory.mktemp("bundles")
    extras = {"calibration": Calibration(temperature=0.5, threshold=0.3), "accuracy": {"made-up": "50 ± 1"}}
    for precision in PRECISIONS:
        export_bundle(source, folder / precision, settings(precision, **extras), silent)
    return {precision: folder / precision for precision in PRECISIONS}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_runtime_opens_what_was_written_and_reproduces_it(
    source: Source, bundles: dict[str, Path], precision: Precision
) -> None:
    engine = Engine.open(bundles[precision], provider="cpu")
    assert engine.verify().passed
    clip = voiced_waveform(20_000, seed=3)
    with torch.inference_mode():
        expected = source.network.embed(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))[0].numpy()
    embedding = engine.embed(clip)
    if precision == "fp32":
        np.testing.assert_allclose(embedding, expected, atol=1e-4)
    assert unit(embedding) @ unit(expected) >= parity.COSINE_AT_LEAST[precision]


def test_a_wav2vec2_bundle_opens_as_well(wav2vec2: Any, tmp_path: Path) -> None:
    export_bundle(open_source(str(wav2vec2.folder), 1, None), tmp_path / "bundle", settings(), silent)
    engine = Engine.open(tmp_path / "bundle", provider="cpu")
    assert engine.verify().passed
    assert engine.model.min_samples == 400
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_exporting_again_gives_the_same_files(source: Source, bundles: dict[str, Path], tmp_path: Path) -> None:
    manifest = open_bundle(bundles["int8"]).manifest
    again = settings("int8", calibration=manifest.calibration, accuracy=manifest.accuracy)
    network = copy.deepcopy(source.network)  # traced again
    assert export_bundle(replace(source, network=network), tmp_path / "again", again, silent) == manifest
    assert snapshot(tmp_path / "again") == snapshot(bundles["int8"])


def test_precisions_share_the_model_id_and_not_the_graph_id(bundles: dict[str, Path]) -> None:
    manifests = [open_bundle(folder).manifest for folder in bundles.values()]
    assert len({manifest.model_id for manifest in manifests}) == 1
    assert len({manifest.graph_id for manifest in manifests}) == len(PRECISIONS)


def test_another_head_is_another_model(source: Source) -> None:
    torch.manual_seed(1)
    other = ProtoNet(source.network.backbone, make_head("glu", source.network.backbone.width, 8)).eval()
    assert model_id(other) != model_id(source.network)
    assert model_id(source.network) == model_id(source.network)


def test_the_manifest_and_the_card_say_what_it_is(bundles: dict[str, Path]) -> None:
    manifest = open_bundle(bundles["fp32"]).manifest
    assert manifest.calibration == Calibration(temperature=0.5, threshold=0.3)
    assert manifest.training_corpora == ["made-up"]
    assert manifest.backbone.layers == 1
    assert manifest.operators["encoder.onnx"]["operators"]["Attention"] == 1
    assert manifest.parity["frames_max_difference"] <= 1e-4
    assert manifest.files["tune.onnx"].role == "tune"
    assert manifest.operators["tune.onnx"]["operators"]["LogSoftmax"] == 1
    assert manifest.parity["tuning_step_max_difference"] <= 1e-6
    card = (bundles["fp32"] / "MODEL_CARD.md").read_text()
    for fact in ("made-up (xx)", "made-up: 50 ± 1", "metaser export tiny bundle", "glu, embeddings of 8", "MIT"):
        assert fact in card
    content = b"".join(snapshot(bundles["fp32"]).values())
    assert str(bundles["fp32"].parent).encode() not in content


def test_a_bundle_is_replaced_only_by_force_and_other_folders_never(
    source: Source, bundles: dict[str, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(bundles["fp32"], tmp_path / "bundle"))
    before = snapshot(out)
    with pytest.raises(InputError, match="holds a bundle: pass --force"):
        export_bundle(source, out, settings("int8"), silent)
    assert snapshot(out) == before
    export_bundle(source, out, settings("int8", force=True), silent)
    assert open_bundle(out).manifest.precision == "int8"
    (out / "me.safetensors").write_bytes(b"a person's profile")
    with pytest.raises(InputError, match=r"holds me\.safetensors, which does not belong to a bundle"):
        export_bundle(source, out, settings("int8", force=True), silent)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="exists and is not a bundle"):
        export_bundle(source, tmp_path / "photos", settings(force=True), silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "photos"]


def test_graphs_that_miss_the_tolerance_are_not_written(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "FP32_DIFFERENCE_AT_MOST", 0.0)
    with pytest.raises(WorkError, match=r"do not match PyTorch .*frames differ by"):
        export_bundle(source, tmp_path / "bundle", settings(), silent)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_the_old_bundle(source: Source, bundles: dict[str, Path], tmp_path: Path) -> None:
    out = Path(shutil.copytree(bundles["fp32"], tmp_path / "bundle"))
    before = snapshot(out)

    def interrupt(line: str) -> None:
        if line.startswith("comparing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_bundle(source, out, settings("int8", force=True), interrupt)
    assert snapshot(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_that_cannot_be_written_is_said(source: Source, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(WorkError, match="cannot write"):
        export_bundle(source, tmp_path / "file" / "bundle", settings(), silent)


def test_a_checkpoint_brings_its_licence_corpora_and_calibration(source: Source, tmp_path: Path) -> None:
    metadata = CheckpointMetadata(
        source="made/up", licence="CC-BY-4.0", corpora=("c",), languages=("xx",), calibration={"temperature": 0.5}
    )
    save_checkpoint(tmp_path / "checkpoint", source.network, metadata)
    opened = open_source(str(tmp_path / "checkpoint"), None, None)
    assert (opened.name, opened.licence, opened.corpora) == ("made/up", "CC-BY-4.0", ("c",))
    assert opened.calibration == Calibration(temperature=0.5)
    assert opened.network.head.kind == "glu"
    assert open_source(str(tmp_path / "checkpoint"), None, "MIT").licence == "MIT"


def test_a_checkpoints_own_card_licence_and_notice_are_passed_on(source: Source, tmp_path: Path) -> None:
    metadata = CheckpointMetadata(source="made/up", licence="CC-BY-4.0")
    texts = {"MODEL_CARD.md": "# Ours, ein Modell für Grüße\n", "LICENSE": "Some rights.\n", "NOTICE": "By us.\n"}
    save_checkpoint(tmp_path / "checkpoint", source.network, metadata, torch.float16)
    bare = open_source(str(tmp_path / "checkpoint"), None, None)
    for name, text in texts.items():
        (tmp_path / "checkpoint" / name).write_text(text, encoding="utf-8")
    opened = open_source(str(tmp_path / "checkpoint"), None, None)
    for precision in PRECISIONS:
        manifest = export_bundle(opened, tmp_path / precision, settings(precision), silent)
        assert {name: (tmp_path / precision / name).read_text(encoding="utf-8") for name in texts} == texts
        assert manifest.files["NOTICE"].role == "notice"
        assert open_bundle(tmp_path / precision).manifest.model_id == model_id(opened.network)
    manifest = export_bundle(bare, tmp_path / "fp32", settings(force=True), silent)
    assert "NOTICE" not in manifest.files
    assert "metaser export tiny bundle" in (tmp_path / "fp32" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert (tmp_path / "fp32" / "LICENSE").read_text(encoding="utf-8") == "Licence of the weights: CC-BY-4.0\n"


def test_a_large_graph_keeps_its_weights_in_a_separate_file(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaser.export.weights.LARGE_BYTES", 50_000)
    export_bundle(source, tmp_path / "large", settings("int8"), silent)
    manifest = open_bundle(tmp_path / "large").manifest
    assert manifest.files["encoder.onnx.data"].role == "external_data"
    assert manifest.files["encoder.onnx"].size_bytes < manifest.files["encoder.onnx.data"].size_bytes
    assert Engine.open(tmp_path / "large", provider="cpu").verify().passed
