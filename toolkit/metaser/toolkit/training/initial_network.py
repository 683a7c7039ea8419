"""The initial network of a run: a pre-trained backbone with a new head, or a checkpoint to continue from."""

from __future__ import annotations

import torch
from torch import Tensor

from metaser.runtime.errors import InputError
from metaser.runtime.system.user_folders import expand_home
from metaser.toolkit.config import Config, ModelConfig
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.checkpoint import DESCRIPTION_FILE, CheckpointMetadata, load_checkpoint
from metaser.toolkit.model.layer_sum import WeightedSum
from metaser.toolkit.model.network import ProtoNet, make_head
from metaser.toolkit.seeding import Purpose, generator
from metaser.toolkit.training.dataset import TrainingData
from metaser.toolkit.training.distillation import fit_head
from metaser.toolkit.training.whitening import whiten_head


def open_network(config: Config, material: TrainingData) -> tuple[ProtoNet, CheckpointMetadata, Tensor | None]:
    """The network, the metadata of its checkpoints, and the teachers' joined embeddings [M, E] of the training clips.

    Seeds torch's generator for the head.

    Raises:
        MetaserError: there is no such backbone or checkpoint, or it does not fit the settings.
    """
    model = config.model
    folder = expand_home(model.backbone)
    licence = model.licence
    torch.manual_seed(config.seed)
    if (folder / DESCRIPTION_FILE).is_file():
        network, before = load_checkpoint(folder, model.layers)
        _check_same(model, network)
        source = before.source
        licence = before.licence if licence == ModelConfig.licence else licence
    else:
        backbone = load_backbone(model.backbone, model.layers)
        if model.weighted_sum:
            backbone.layer_sum = WeightedSum(backbone.layers)
        network = ProtoNet(backbone, make_head(model.head, backbone.width, model.embedding_size))
        network.head.scale.data.fill_(model.scale)
        if model.whitened_head and not config.distil.teachers:
            rng = generator(config.seed, Purpose.WHITENING, 0)
            whiten_head(network, material.training_clips, rng, config.data.crop_s, model.whitening_power)
        source = folder.resolve().name if folder.is_dir() else model.backbone
    wanted = fit_head(network, material.training_clips, config.distil) if config.distil.teachers else None
    clips = material.training_clips.utterances
    metadata = CheckpointMetadata(
        source=source,
        licence=licence,
        corpora=tuple(sorted({clip.corpus for clip in clips})),
        languages=tuple(sorted({clip.language for clip in clips} - {""})),
    )
    return network, metadata, wanted


def _check_same(model: ModelConfig, network: ProtoNet) -> None:
    found = {
        "head": network.head.kind,
        "embedding_size": network.head.embedding_size,
        "weighted_sum": network.backbone.layer_sum is not None,
    }
    for name, value in found.items():
        if getattr(model, name) != value:
            raise InputError(
                f"model.{name} is {getattr(model, name)!r} and the checkpoint {model.backbone} was trained with "
                f"{value!r}: set this value, or start from a backbone"
            )
