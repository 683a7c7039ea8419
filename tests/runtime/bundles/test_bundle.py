"""A bundle is opened only if every file matches the manifest."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from metaser.runtime import BundleError, Engine, NotFoundError, WorkError, open_bundle, shipped_bundles
from metaser.runtime.bundles.bundle import DEFAULT_BUNDLES, default_bundle
from metaser.runtime.bundles.manifest import Manifest


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
    monkeypatch.setattr("metaser.runtime.bundles.bundle.shipped_folder", lambda: tmp_path)
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
    corpora = set(bundle.manifest.training_corpora)
    restricted = not corpora <= {"crema-d", "emodb"}
    assert bundle.manifest.licence == ("CC-BY-NC-SA-4.0" if restricted else "MIT")
    licence = (bundle.folder / "LICENSE").read_text(encoding="utf-8")
    assert ("Attribution-NonCommercial-ShareAlike 4.0" in licence) == restricted
    assert ("Open Database License" in licence) == ("crema-d" in corpora)
    assert ("A Database of German Emotional Speech" in licence) == ("emodb" in corpora)


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


def test_a_link_to_itself_is_refused(bundle_copy: Path) -> None:
    (bundle_copy / "head.safetensors").unlink()
    (bundle_copy / "head.safetensors").symlink_to("head.safetensors")
    with pytest.raises(BundleError, match=r"lacks head\.safetensors"):
        open_bundle(bundle_copy)


@pytest.mark.parametrize(
    "value", ["1e999", "1" + "0" * 400, "[" * 100 + "]" * 100], ids=["infinite", "too large", "too deep"]
)
def test_reports_that_cannot_be_shown_are_refused(bundle_copy: Path, value: str) -> None:
    change_manifest(bundle_copy, accuracy={"measured": "here"})
    text = (bundle_copy / "bundle.json").read_text()
    assert '"here"' in text
    (bundle_copy / "bundle.json").write_text(text.replace('"here"', value))
    with pytest.raises(BundleError, match=r"bundle\.json is not JSON"):
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
        ({"version": 2}, "version 2 but this metaser reads 1: update metaser"),
        ({"format": "zip"}, "does not describe a metaser bundle"),
        ({"surprise": 1}, "unknown field"),
        ({"precision": "int3"}, "precision 'int3'"),
        ({"opset": "23"}, "opset = '23'"),
        ({"audio": {}}, "missing or an unknown field"),
        ({"training_corpora": [1]}, "not a list of text"),
        ({"calibration": {"temperature": float("nan"), "threshold": 0.0, "margin": 0.0}}, "NaN is not a finite number"),
        ({"calibration": {"temperature": 1e-300, "threshold": 0.0, "margin": 0.0}}, "temperature is 1e-300"),
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


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-30, 1e30])
def test_a_scale_by_which_no_confidence_can_be_computed_is_refused(bundle_copy: Path, scale: float) -> None:
    parameters = load_file(bundle_copy / "head.safetensors")
    save_file({**parameters, "scale": np.array(scale, np.float32)}, bundle_copy / "head.safetensors")
    relist(bundle_copy, "head.safetensors")
    with pytest.raises(BundleError, match="does not fit its manifest"):
        open_bundle(bundle_copy)


def change_golden(bundle: Path, name: str, value: float) -> None:
    golden = load_file(bundle / "golden.safetensors")
    save_file({**golden, name: np.full_like(golden[name], value)}, bundle / "golden.safetensors")
    relist(bundle, "golden.safetensors")


@pytest.mark.parametrize(("name", "value"), [("frames", 0.0), ("frames", np.inf), ("embedding", np.nan)])
def test_golden_vectors_that_no_network_gives_are_refused(bundle_copy: Path, name: str, value: float) -> None:
    change_golden(bundle_copy, name, value)
    with pytest.raises(BundleError, match=r"golden\.safetensors holds values that no network computes"):
        Engine.open(bundle_copy, provider="cpu").verify()


def test_golden_vectors_of_almost_nothing_only_fail(bundle_copy: Path) -> None:
    change_golden(bundle_copy, "frames", 1e-45)
    assert Engine.open(bundle_copy, provider="cpu").verify().frames_max_difference > 1e9


def test_a_graph_with_a_name_that_is_not_utf8_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    graph = (bundle / "head.onnx").read_bytes()
    assert b"ReduceSum" in graph
    (bundle / "head.onnx").write_bytes(graph.replace(b"ReduceSum", b"Reduce\xb5um"))
    relist(bundle, "head.onnx")
    with pytest.raises(BundleError, match=r"onnxruntime .* refuses head\.onnx"):
        Engine.open(bundle, provider="cpu")


def rewire(bundle: Path, name: str, change: Callable[[Any], None]) -> Engine:
    """An engine of a bundle one of whose graphs was changed, hashes and all."""
    import onnx

    model = onnx.load(bundle / name)
    change(model.graph)
    onnx.save(model, bundle / name)
    relist(bundle, name)
    return Engine.open(bundle, provider="cpu")


def node_of(graph: Any, output: str) -> Any:
    """The node that gives an output."""
    return next(node for node in graph.node if output in node.output)


CLIP = np.sin(np.arange(16_000) / 5).astype(np.float32) / 2


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (("encoder.onnx", "by_frame", "Identity"), BundleError, r"the encoder gives \(1, 6, \d+\), not \(1, N, 6\)"),
        (("encoder.onnx", "squares", "Sub"), WorkError, "the output of the encoder is not finite"),
        (("head.onnx", "kept", "Div"), WorkError, "the embedding is not finite"),
    ],
)
def test_a_graph_that_gives_no_frames_or_no_embedding_is_an_error(
    tiny_bundle: Path, tmp_path: Path, changed: tuple[str, str, str], error: type[Exception], message: str
) -> None:
    name, output, operator = changed
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))

    def change(graph: Any) -> None:
        from onnx import numpy_helper

        node = node_of(graph, output)
        node.op_type = operator
        if operator == "Identity":
            del node.attribute[:]
        if operator == "Sub":  # 0 / 0 in every frame, without what keeps it from that
            node_of(graph, "total").input[1] = "sum"
        if name == "head.onnx":
            node.input[1] = "zero"  # in place of the mask
            graph.initializer.add().CopyFrom(numpy_helper.from_array(np.zeros((1, 1, 1), np.float32), "zero"))

    engine = rewire(bundle, name, change)
    with pytest.raises(error, match=message):
        engine.embed(CLIP)


def test_an_embedding_of_another_size_than_the_manifest_states_is_an_error(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    head = json.loads((bundle / "bundle.json").read_text())["head"]
    change_manifest(bundle, head={**head, "embedding_size": 7})
    with pytest.raises(BundleError, match=r"head\.onnx gives \(1, 6\), not \(1, 7\)"):
        Engine.open(bundle, provider="cpu").embed(CLIP)
