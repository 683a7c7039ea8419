"""A bundle is opened only when every file is what the manifest says."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from metaser.runtime import BundleError, Engine, NotFoundError, open_bundle, shipped_bundles
from metaser.runtime.bundle import DEFAULT_BUNDLES, default_bundle
from metaser.runtime.manifest import Manifest


def change_manifest(bundle: Path, **changes: Any) -> None:
    document = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**document, **changes}))


def relist(bundle: Path, name: str) -> None:
    """List a changed file under its new hash, as someone who tampers with a bundle would."""
    content = (bundle / name).read_bytes()
    files = json.loads((bundle / "bundle.json").read_text())["files"]
    files[name] = {**files[name], "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    change_manifest(bundle, files=files)


def test_the_default_bundle_is_shipped_and_opens_by_name() -> None:
    assert default_bundle() in shipped_bundles()
    assert open_bundle().folder == open_bundle(default_bundle()).folder


def test_the_default_is_the_meta_trained_bundle_where_it_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaser.runtime.bundle.shipped_folder", lambda: tmp_path)
    for name in reversed(DEFAULT_BUNDLES):
        (tmp_path / "bundles" / name).mkdir(parents=True)
        (tmp_path / "bundles" / name / "bundle.json").write_text("{}")
        assert default_bundle() == name
    assert default_bundle() == "default"


@pytest.mark.parametrize("name", shipped_bundles())
def test_every_shipped_bundle_is_small_is_called_as_its_folder_and_brings_whispers_notice(name: str) -> None:
    bundle = open_bundle(name)
    size_mb = sum(path.stat().st_size for path in bundle.folder.iterdir()) / 1e6
    assert size_mb <= {"tiny": 6}.get(name, 16)
    assert bundle.manifest.name == name
    licence = (bundle.folder / "LICENSE").read_text(encoding="utf-8")
    assert "OpenAI" in licence
    assert "MIT License" in licence


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundle_that_was_trained_is_under_the_licence_of_its_corpora(name: str) -> None:
    bundle = open_bundle(name)
    trained = bool(bundle.manifest.training_corpora)
    assert bundle.manifest.licence == ("CC-BY-NC-SA-4.0" if trained else "MIT")
    licence = (bundle.folder / "LICENSE").read_text(encoding="utf-8")
    assert ("Attribution-NonCommercial-ShareAlike 4.0" in licence) == trained


def test_a_manifest_comes_back_as_it_was_written(bundle_copy: Path) -> None:
    text = (bundle_copy / "bundle.json").read_text()
    assert Manifest.from_json(text).to_json() == text


@pytest.mark.parametrize("name", ["encoder.onnx", "head.onnx", "head.safetensors", "golden.safetensors", "LICENSE"])
def test_a_changed_byte_is_refused(bundle_copy: Path, name: str) -> None:
    content = bytearray((bundle_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} in .* is not the file its manifest lists"):
        open_bundle(bundle_copy)


@pytest.mark.parametrize("name", ["encoder.onnx", "MODEL_CARD.md", "LICENSE"])
def test_a_missing_file_is_refused(bundle_copy: Path, name: str) -> None:
    (bundle_copy / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        open_bundle(bundle_copy)


def test_a_manifest_that_does_not_list_a_file_is_refused(bundle_copy: Path) -> None:
    files = json.loads((bundle_copy / "bundle.json").read_text())["files"]
    del files["head.onnx"]
    change_manifest(bundle_copy, files=files)
    with pytest.raises(BundleError, match=r"does not list head\.onnx"):
        open_bundle(bundle_copy)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/../../secret", "sub/file", "."])
def test_a_path_out_of_the_folder_is_refused(bundle_copy: Path, name: str) -> None:
    (bundle_copy.parent / "secret").write_text("x")
    files = json.loads((bundle_copy / "bundle.json").read_text())["files"]
    change_manifest(bundle_copy, files={name: files["LICENSE"], **files})
    with pytest.raises(BundleError, match="lies outside its folder"):
        open_bundle(bundle_copy)


def test_a_link_out_of_the_folder_is_refused(bundle_copy: Path) -> None:
    elsewhere = bundle_copy.parent / "elsewhere"
    (bundle_copy / "LICENSE").rename(elsewhere)
    (bundle_copy / "LICENSE").symlink_to(elsewhere)
    with pytest.raises(BundleError, match="lies outside its folder"):
        open_bundle(bundle_copy)


def test_external_data_that_is_not_listed_is_refused(bundle_copy: Path) -> None:
    def field(number: int, body: bytes) -> bytes:
        return bytes([number << 3 | 2, len(body)]) + body

    entry = field(1, b"location") + field(2, b"../secret")
    tampered = field(7, field(5, field(13, entry)))
    (bundle_copy / "head.onnx").write_bytes(tampered)
    relist(bundle_copy, "head.onnx")
    with pytest.raises(BundleError, match=r"head\.onnx .* reads files its manifest does not list: \.\./secret"):
        open_bundle(bundle_copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2 and this metaser reads 1: update metaser"),
        ({"format": "zip"}, "does not describe a metaser bundle"),
        ({"surprise": 1}, "unknown field"),
        ({"precision": "int3"}, "precision 'int3'"),
        ({"opset": "23"}, "opset = '23'"),
        ({"audio": {}}, "missing or an unknown field"),
        ({"training_corpora": [1]}, "not a list of text"),
        ({"calibration": {"temperature": float("nan"), "threshold": 0.0, "margin": 0.0}}, "NaN is not a number"),
        ({"calibration": {"temperature": 0.0, "threshold": 0.0, "margin": 0.0}}, "temperature"),
    ],
)
def test_a_manifest_with_another_content_is_refused(bundle_copy: Path, changes: dict[str, Any], message: str) -> None:
    change_manifest(bundle_copy, **changes)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle_copy)


@pytest.mark.parametrize("max_window_s", [float("inf"), 1e-9, 0.05, 1e9, -1.0])
def test_a_window_that_cannot_be_is_refused(bundle_copy: Path, max_window_s: float) -> None:
    audio = json.loads((bundle_copy / "bundle.json").read_text())["audio"]
    change_manifest(bundle_copy, audio={**audio, "max_window_s": max_window_s})
    with pytest.raises(BundleError):
        open_bundle(bundle_copy)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, ""])
def test_a_name_that_no_file_has_is_refused(bundle_copy: Path, name: str) -> None:
    files = json.loads((bundle_copy / "bundle.json").read_text())["files"]
    change_manifest(bundle_copy, files={name: files["LICENSE"], **files})
    with pytest.raises(BundleError):
        open_bundle(bundle_copy)


def test_graphs_under_each_others_names_are_refused(bundle_copy: Path) -> None:
    head, encoder = ((bundle_copy / name).read_bytes() for name in ("head.onnx", "encoder.onnx"))
    (bundle_copy / "encoder.onnx").write_bytes(head)
    (bundle_copy / "head.onnx").write_bytes(encoder)
    relist(bundle_copy, "encoder.onnx")
    relist(bundle_copy, "head.onnx")
    with pytest.raises(BundleError, match=r"encoder\.onnx has no input_values"):
        Engine.open(bundle_copy, provider="cpu")


def test_a_folder_goes_before_a_shipped_name(
    bundle_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_bundle(default_bundle()).folder != Path(default_bundle())
    bundle_copy.rename(tmp_path / default_bundle())
    assert open_bundle(default_bundle()).folder == Path(default_bundle())
    assert open_bundle().folder != Path(default_bundle())


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(bundle_copy: Path, content: bytes) -> None:
    (bundle_copy / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError):
        open_bundle(bundle_copy)


def test_folders_that_are_no_bundle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no such bundle: .*nowhere"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"has no bundle\.json"):
        open_bundle(tmp_path)


def test_a_graph_that_onnxruntime_refuses_is_a_bundle_error(bundle_copy: Path) -> None:
    (bundle_copy / "encoder.onnx").write_bytes(b"")
    relist(bundle_copy, "encoder.onnx")
    with pytest.raises(BundleError, match=r"refuses encoder\.onnx"):
        Engine.open(bundle_copy, provider="cpu")


def test_head_parameters_that_do_not_fit_the_manifest_are_refused(bundle_copy: Path) -> None:
    head = json.loads((bundle_copy / "bundle.json").read_text())["head"]
    change_manifest(bundle_copy, head={**head, "parameters": {"scale": []}})
    with pytest.raises(BundleError, match="does not fit its manifest"):
        open_bundle(bundle_copy)
