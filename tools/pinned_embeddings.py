"""Write the embeddings of the demonstration's support clips by every shipped bundle, for a regression test.

They are in tests/runtime/shipped_embeddings.safetensors, float16 [M, E] under the bundle's name, M clips by path.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save

from metaser.runtime import Engine, load_audio, shipped_bundles
from metaser.runtime.arrays import Embeddings
from metaser.runtime.bundles.bundle import shipped_folder
from metaser.runtime.system.files import SHARED, replace_file

PINNED = Path(__file__).parents[1] / "tests" / "runtime" / "model" / "shipped_embeddings.safetensors"


def embeddings_of(bundle: str) -> Embeddings:
    """[M, E] of the clips in the order of their paths."""
    engine = Engine.open(bundle, provider="cpu")
    clips = sorted((shipped_folder() / "demo" / "support").rglob("*.flac"))
    return np.stack([engine.embed(load_audio(clip)) for clip in clips])


def write_pinned() -> None:
    """Write the file again."""
    embeddings = {name: embeddings_of(name).astype(np.float16) for name in shipped_bundles()}
    replace_file(PINNED, save(embeddings), mode=SHARED)
    PINNED.chmod(0o644)
