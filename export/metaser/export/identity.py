"""The two ids of a bundle: the model id and the graph id."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from metaser.toolkit.model.network import ProtoNet


def model_id(network: ProtoNet) -> str:
    """sha256 of the architecture and the weights; the same for every precision of one model."""
    digest = hashlib.sha256()
    head = {"kind": network.head.kind, "embedding_size": network.head.embedding_size}
    digest.update(json.dumps([network.backbone.description(), head], sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)} ".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def graph_id(folder: Path) -> str:
    """sha256 of the graphs and the head's parameters in a bundle's folder."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.onnx"), *folder.glob("*.data"), folder / "head.safetensors"]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
