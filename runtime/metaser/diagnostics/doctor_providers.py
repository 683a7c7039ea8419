"""Check which ONNX Runtime providers start on this machine, by running a bundle on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from metaser.runtime.bundles.bundle import Bundle
from metaser.runtime.engine import Engine
from metaser.runtime.errors import MetaserError, WorkError
from metaser.runtime.model.pooling_head import PoolingHead
from metaser.runtime.providers.check import check_profile
from metaser.runtime.providers.session import HEAD_NAMES, PROVIDERS, import_onnxruntime, open_session

FINE = "reproduces"
FIXES = {
    "cuda": "pip install 'onnxruntime-gpu[cuda,cudnn]'; it also needs an NVIDIA GPU and its driver",
    "tensorrt": "install the TensorRT that this onnxruntime-gpu was built with: docs/devices.md",
    "openvino": "pip install --force-reinstall onnxruntime-openvino",
}
ANOTHER = "run with --provider cpu, or use a bundle that was exported for it"


@dataclass(frozen=True)
class Finding:
    """The result for one provider."""

    provider: str
    found: str
    fix: str | None
    """What may help; None if the provider starts."""

    runs_bundle: bool = False
    """Whether the provider runs the whole bundle correctly."""


def provider_findings(bundle: Bundle) -> Iterator[Finding]:
    """Test every provider of this onnxruntime that metaser supports, except the CPU, which is checked separately."""
    available = import_onnxruntime().get_available_providers()
    for provider, name in PROVIDERS.items():
        if provider == "cpu" or name not in available:
            continue
        try:
            _run_head(bundle, provider)
        except WorkError as error:
            yield Finding(provider, f"starts; {bundle.manifest.name} on it cannot be run: {error}", ANOTHER)
        except MetaserError as error:
            yield Finding(provider, str(error), FIXES[provider])
        else:
            result = verified(bundle, provider)
            yield Finding(provider, f"starts; {bundle.manifest.name} on it {result}", None, result.startswith(FINE))


def verified(bundle: Bundle, provider: str) -> str:
    """Compare a bundle on a provider with its golden vectors; the text begins with FINE if they agree."""
    try:
        found = Engine.open(bundle.folder, provider=provider).verify()
    except MetaserError as error:
        return f"cannot be run: {error}"
    cosine = f"its golden vectors, cosine of embeddings {found.embedding_cosine:.6f}"
    return f"{FINE} {cosine}" if found.passed else f"does not reproduce {cosine}"


def _run_head(bundle: Bundle, provider: str) -> None:
    """Run the head, a matrix product in float32, whatever the encoder's precision.

    Raises:
        MissingDependencyError: the provider did not start, or another provider did the work.
        WorkError: it starts but fails on this graph.
    """
    frames = np.zeros((1, 2, bundle.manifest.backbone.width), np.float32)  # [B, N, D]
    with TemporaryDirectory(prefix="metaser-") as folder:
        session = open_session(bundle.folder / "head.onnx", provider, None, HEAD_NAMES, profile=Path(folder) / "head")
        PoolingHead(session, bundle.head_parameters, bundle.manifest.head.embedding_size).pool(
            frames, np.ones(frames.shape[:2], np.float32)
        )
        check_profile(Path(session.end_profiling()), PROVIDERS[provider], "head.onnx")
