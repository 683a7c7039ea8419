"""Meta-learning in PyTorch: backbones, pooling heads, prototypes, checkpoints."""

from importlib import import_module
from typing import TYPE_CHECKING

from metaser.runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from metaser.toolkit.model.backbone import Backbone, build_backbone, load_backbone
    from metaser.toolkit.model.checkpoint import CheckpointMetadata, load_checkpoint, save_checkpoint
    from metaser.toolkit.model.network import ProtoNet, cosine_logits, identity_head, make_head, prototypes

__all__ = [
    "Backbone",
    "CheckpointMetadata",
    "ProtoNet",
    "build_backbone",
    "cosine_logits",
    "identity_head",
    "load_backbone",
    "load_checkpoint",
    "make_head",
    "prototypes",
    "save_checkpoint",
]

_HOMES = {
    "model.backbone": ("Backbone", "build_backbone", "load_backbone"),
    "model.checkpoint": ("CheckpointMetadata", "load_checkpoint", "save_checkpoint"),
    "model.network": ("ProtoNet", "cosine_logits", "identity_head", "make_head", "prototypes"),
}


def __getattr__(name: str) -> object:
    """Import torch and transformers only when something is used."""
    for module, names in _HOMES.items():
        if name in names:
            try:
                return getattr(import_module(f"{__name__}.{module}"), name)
            except ModuleNotFoundError as error:
                raise MissingDependencyError(f"{error}: pip install 'metaser[train]'") from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
