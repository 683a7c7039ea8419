"""Opening a bundle: every file is checked against the manifest before any of them is used."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.bundles.manifest import Manifest
from metaser.runtime.bundles.onnx_data import external_files
from metaser.runtime.errors import BundleError, NotFoundError
from metaser.runtime.scoring.decision import SCALES, is_between
from metaser.runtime.system.given_path import given_path

MANIFEST = "bundle.json"
REQUIRED = ("encoder.onnx", "head.onnx", "head.safetensors", "golden.safetensors", "MODEL_CARD.md", "LICENSE")
TENSORRT_GRAPH = "encoder.tensorrt.onnx"
"""Optional: the encoder for one static window, which `metaser export --tensorrt` adds."""

DEFAULT_BUNDLES = ("default", "frozen")
"""The first of these that is installed is the default."""

MAX_NAME = 100


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked bundle: its folder, its manifest and the head's parameters."""

    folder: Path
    manifest: Manifest
    head_parameters: dict[str, npt.NDArray[np.float32]]

    @property
    def scale(self) -> float:
        """The head's factor on cosines."""
        return float(self.head_parameters["scale"])


def shipped_folder() -> Path:
    """The folder of this installation's bundles and demonstration clips."""
    return Path(str(resources.files("metaser.runtime") / "data"))


def shipped_bundles() -> list[str]:
    """Names that `--bundle` and `Engine.open` accept, apart from a folder."""
    return sorted(path.parent.name for path in (shipped_folder() / "bundles").glob(f"*/{MANIFEST}"))


def is_bundle(name: str | Path) -> bool:
    """Whether this is the name of a shipped bundle or a folder with a manifest."""
    return str(name) in shipped_bundles() or (Path(name) / MANIFEST).is_file()


def default_bundle() -> str:
    """The name of the shipped bundle that is used by default."""
    shipped = shipped_bundles()
    return next((name for name in DEFAULT_BUNDLES if name in shipped), DEFAULT_BUNDLES[0])


def open_bundle(bundle: str | Path | None = None) -> Bundle:
    """Open a bundle by folder or shipped name; None is the default one.

    Raises:
        NotFoundError: there is no such folder.
        BundleError: it is not a bundle, a file is missing, changed, unlisted or outside the folder, or it is too new.
    """
    folder = _folder(bundle)
    manifest_path = folder / MANIFEST
    if not manifest_path.is_file():
        raise BundleError(f"{folder} has no {MANIFEST}: give a folder that `metaser export` wrote")
    try:
        manifest = Manifest.from_json(manifest_path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise BundleError(f"{manifest_path} is not text: export the bundle again") from error
    _check_files(folder, manifest)
    if manifest.audio.sample_rate_hz != SAMPLE_RATE_HZ:
        raise BundleError(
            f"{folder} is for {manifest.audio.sample_rate_hz} Hz but metaser works at {SAMPLE_RATE_HZ} Hz"
        )
    return Bundle(folder, manifest, _head_parameters(folder, manifest))


def _folder(bundle: str | Path | None) -> Path:
    folder = given_path(default_bundle() if bundle is None else bundle, "the bundle", BundleError)
    if str(folder) in shipped_bundles() and (bundle is None or not (folder / MANIFEST).is_file()):
        return shipped_folder() / "bundles" / folder
    if not folder.is_dir():
        raise NotFoundError(f"no such bundle: {bundle} (a folder, or one of {', '.join(shipped_bundles())})")
    return folder


def _check_files(folder: Path, manifest: Manifest) -> None:
    if absent := [name for name in REQUIRED if name not in manifest.files]:
        raise BundleError(f"{folder / MANIFEST} does not list {', '.join(absent)}: export the bundle again")
    for name, entry in manifest.files.items():
        path = contained(folder, name)
        if not path.is_file():
            raise BundleError(f"{folder} lacks {name}: copy the whole folder again")
        if path.stat().st_size != entry.size_bytes or sha256_of(path) != entry.sha256:
            raise BundleError(f"{name} in {folder} is not the file its manifest lists: copy or export the bundle again")
    for name in manifest.files:
        if name.endswith(".onnx") and (
            unlisted := external_files(contained(folder, name).read_bytes()) - set(manifest.files)
        ):
            raise BundleError(
                f"{name} in {folder} reads files its manifest does not list: {', '.join(sorted(unlisted))}"
            )


def contained(folder: Path, name: str) -> Path:
    """The path of a file named by a manifest, which has to lie in the bundle's own folder.

    Raises:
        BundleError: the name, or the link behind it, leads elsewhere.
    """
    plain = name == Path(name).name and name.isprintable() and len(name) <= MAX_NAME
    path = Path(os.path.realpath(folder / name)) if plain else folder  # Path.resolve raises for circular links
    if path.parent != Path(os.path.realpath(folder)):
        raise BundleError(f"{folder / MANIFEST} names {name!r}, which lies outside its folder: do not use this bundle")
    return path


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of a safetensors file of a bundle.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, TypeError, KeyError) as error:
        raise BundleError(f"{path} is damaged ({error}): export the bundle again") from error


def golden_vectors(bundle: Bundle) -> dict[str, npt.NDArray[np.float32]]:
    """A bundle's waveform, frames and embedding."""
    golden = read_tensors(bundle.folder / "golden.safetensors")
    if set(golden) != {"waveform", "frames", "embedding"}:
        raise BundleError("golden.safetensors does not hold the expected tensors: export the bundle again")
    if not all(value.dtype == np.float32 and np.isfinite(value).all() and value.any() for value in golden.values()):
        raise BundleError("golden.safetensors holds values that no network computes: export the bundle again")
    return golden


def _head_parameters(folder: Path, manifest: Manifest) -> dict[str, npt.NDArray[np.float32]]:
    parameters = read_tensors(folder / "head.safetensors")
    shapes = {name: list(value.shape) for name, value in parameters.items()}
    floats = all(value.dtype == np.float32 and np.isfinite(value).all() for value in parameters.values())
    fits = shapes == manifest.head.parameters and shapes.get("scale") == [] and floats
    if not fits or not is_between(float(parameters["scale"]), SCALES):
        raise BundleError(f"head.safetensors in {folder} does not fit its manifest: export the bundle again")
    return parameters
