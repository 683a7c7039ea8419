"""Every shipped bundle gives the demonstration's clips the embeddings that `make bundles` recorded."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from metaser.runtime import Engine, load_audio, shipped_bundles
from metaser.runtime.bundles.bundle import shipped_folder

PINNED = load_file(Path(__file__).parent / "shipped_embeddings.safetensors")
CLIPS = sorted((shipped_folder() / "demo" / "support").rglob("*.flac"))
LEAST_COSINE = 0.99
"""Least cosine of embeddings minus their mean: int8 differs a little between processors."""

Floats = npt.NDArray[np.float64]


def least_cosine(bundle: str | Path, expected: Floats) -> float:
    """The smallest cosine of a clip's embedding to the recorded one, [M, E], both minus the mean of the recorded ones.

    Embeddings of speech have much in common; without their mean, any two clips would have a cosine near one.
    """
    engine = Engine.open(bundle, provider="cpu")
    found = np.stack([engine.embed(load_audio(clip)) for clip in CLIPS]).astype(np.float64)
    left, right = found - expected.mean(0), expected - expected.mean(0)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(1) / lengths).min())


def pinned(name: str) -> Floats:
    assert len(PINNED[name]) == len(CLIPS)
    return PINNED[name].astype(np.float64)


def test_every_shipped_bundle_is_pinned_and_no_other() -> None:
    assert sorted(PINNED) == shipped_bundles()


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundle_embeds_as_it_did(name: str) -> None:
    assert least_cosine(name, pinned(name)) >= LEAST_COSINE


@pytest.mark.parametrize("name", shipped_bundles())
def test_other_weights_are_noticed(name: str, tmp_path: Path) -> None:
    """One in ten of the head's weights is drawn again with the same spread; the bundle is otherwise intact."""
    folder = Path(shutil.copytree(shipped_folder() / "bundles" / name, tmp_path / name))
    parameters = load_file(folder / "head.safetensors")
    key = max(parameters, key=lambda parameter: parameters[parameter].size)
    weights = parameters[key].copy()
    rng = np.random.default_rng(0)
    chosen = rng.random(weights.shape) < 0.1
    weights[chosen] = rng.normal(0, weights.std(), chosen.sum())
    save_file({**parameters, key: weights}, folder / "head.safetensors")
    document = json.loads((folder / "bundle.json").read_text())
    content = (folder / "head.safetensors").read_bytes()
    document["files"]["head.safetensors"]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(document))
    assert least_cosine(folder, pinned(name)) < LEAST_COSINE
