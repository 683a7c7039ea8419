"""Set up a run: clips, network, optimiser and state for the training loop."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from metaser.runtime.errors import InputError
from metaser.runtime.system.files import SHARED, replace_text, sweep
from metaser.runtime.system.folders import recover
from metaser.runtime.system.os_errors import cannot_write
from metaser.toolkit.config import Config
from metaser.toolkit.data.utterances import classes_by
from metaser.toolkit.model.checkpoint import CheckpointMetadata, save_checkpoint
from metaser.toolkit.model.network import ProtoNet
from metaser.toolkit.training.adversary import Discriminator
from metaser.toolkit.training.averaging import average_of, interpolated
from metaser.toolkit.training.batches import BatchMaker
from metaser.toolkit.training.dataset import TrainingData, load_training_data
from metaser.toolkit.training.distributed import Processes
from metaser.toolkit.training.feature_cache import VariantStore
from metaser.toolkit.training.freezing import checkpoint_gradients, computes_bfloat16, freeze
from metaser.toolkit.training.initial_network import open_network
from metaser.toolkit.training.logs import LOG_FILE
from metaser.toolkit.training.losses import LabelClassifier
from metaser.toolkit.training.schedule import make_optimiser, trainable
from metaser.toolkit.training.state import STATE_FILE, Progress, load_state, save_state
from metaser.toolkit.training.validation import Validator

BEST = "best"
SETTINGS_FILE = "config.json"


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """Data of the training loop; `progress`, the network and the optimiser change during training."""

    config: Config
    processes: Processes
    material: TrainingData
    network: ProtoNet
    metadata: CheckpointMetadata
    discriminator: Discriminator | None
    """None without an adversary."""
    classifier: LabelClassifier | None
    """None without a label loss."""
    ema: AveragedModel | None
    """None if the last weights are saved instead of an average."""
    start: ProtoNet | None
    """The network before its first step; None without interpolation to it."""
    parameters: list[nn.Parameter]
    """All trainable parameters."""
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Active only with fp16."""
    maker: BatchMaker
    validator: Validator | None
    """None without validation."""
    wanted: Tensor | None
    """[M, E] the teachers' joined embeddings of the training clips; None without teachers."""
    progress: Progress

    def own_episodes(self, step: int) -> range:
        """This process's episodes of a step."""
        count = self.config.optimiser.gradient_accumulation
        return self.processes.own(range(step * count, (step + 1) * count))

    def save_state(self) -> None:
        """Save the state of the run."""
        if self.processes.is_main:
            save_state(self.config, self.material.fingerprint, self.progress, self.parts)

    def save_best(self) -> None:
        """Save the network as the best so far."""
        if self.processes.is_main:
            save_checkpoint(self.config.out / BEST, self.kept, self.metadata)

    @property
    def kept(self) -> ProtoNet:
        """The network to validate and save: itself, its running average, or the interpolation to its start."""
        learnt: Any = self.network if self.ema is None else self.ema.module
        assert isinstance(learnt, ProtoNet)
        return learnt if self.start is None else interpolated(self.start, learnt, self.config.optimiser.wise_ft_alpha)

    @property
    def parts(self) -> dict[str, Any]:
        """All parts with a state dict that a resumed run needs."""
        parts = {"network": self.network, "optimiser": self.optimiser, "scaler": self.scaler}
        optional = {"discriminator": self.discriminator, "classifier": self.classifier, "ema": self.ema}
        return parts | {name: part for name, part in optional.items() if part is not None}


def prepare_run(config: Config, notify: Callable[[str], None], *, resume: bool) -> TrainingRun:
    """Check and load everything, including the state of an interrupted run on resume.

    Raises:
        MetaserError: something cannot be used; then only decoded clips have been written.
    """
    processes = Processes(config.device)
    _check(config, processes, resume=resume)
    tell = notify if processes.is_main else lambda _: None
    if config.precision == "bf16" and not computes_bfloat16(processes.device):
        tell("this CPU has no bf16 arithmetic: precision 'fp32' is many times faster")
    material = load_training_data(config, tell)
    network, metadata, wanted = open_network(config, material)
    freeze(network.backbone, config.freeze)
    if config.augment.frame_keep_ratio < 1 and not network.backbone.is_divisible:
        raise InputError(f"augment.frame_keep_ratio is for Whisper only and this backbone is {network.backbone.family}")
    if config.gradient_checkpointing:
        checkpoint_gradients(network.backbone)
    if config.precision != "fp32":
        network.backbone.keep_float32()
    network.to(processes.device)
    discriminator = None
    if material.domains:
        sizes = (config.model.embedding_size, len(material.domains), config.adversary.hidden_size)
        discriminator = Discriminator(*sizes).to(processes.device)
    variants = None
    if config.freeze.variants:
        frozen = VariantStore(config, material.training_clips, network.backbone)
        frozen.fill(tell)
        variants = frozen.draw
    classifier = None
    if config.optimiser.classification_weight:
        labels = classes_by(material.training_clips.utterances, config.data.column)
        classifier = LabelClassifier(config.model.embedding_size, len(labels), config.model.scale).to(processes.device)
    others = [module for module in (discriminator, classifier) if module is not None]
    settings = config.optimiser
    validator = None
    if material.validation is not None:
        validator = Validator(config.validation, material.validation, material.validation_clips, processes)
    run = TrainingRun(
        config, processes, material, network, metadata, discriminator, classifier,
        ema=average_of(network, settings.ema_decay) if settings.ema_decay else None,
        start=copy.deepcopy(network) if settings.wise_ft_alpha < 1 else None,
        parameters=trainable(network, *others),
        optimiser=make_optimiser(settings, network, *others),
        scaler=torch.amp.GradScaler(processes.device.type, enabled=config.precision == "fp16"),
        maker=BatchMaker(config, material.training, material.training_clips, material.domains, variants=variants),
        validator=validator,
        wanted=None if wanted is None else wanted.to(processes.device),
        progress=Progress(),
    )  # fmt: skip
    if resume:
        load_state(config, material.fingerprint, run.parts, run.progress)
    if processes.is_main:
        _open_folder(config)
    processes.wait()
    return run


def _check(config: Config, processes: Processes, *, resume: bool) -> None:
    if config.optimiser.gradient_accumulation < processes.count:
        raise InputError(
            f"{processes.count} processes share the {config.optimiser.gradient_accumulation} episodes of a step "
            "(optimiser.gradient_accumulation): give each at least one"
        )
    if config.precision == "fp16" and processes.device.type != "cuda":
        raise InputError(f"precision 'fp16' needs a CUDA device and this is {processes.device.type}: use 'bf16'")
    if config.distil.weight and not config.distil.teachers:
        raise InputError("distil.weight needs distil.teachers: name the folders of trained checkpoints")
    for name in () if resume else (STATE_FILE, BEST):
        if (config.out / name).exists():
            raise InputError(f"{config.out} already holds a run ({name}): pass --resume, or choose another out")


def _open_folder(config: Config) -> None:
    """Clean up after a killed run, and write the settings."""
    for name in (STATE_FILE, SETTINGS_FILE, LOG_FILE):
        sweep(config.out / name)
    try:
        recover(config.out / BEST)
    except OSError as error:
        raise cannot_write(config.out / BEST, error) from error
    replace_text(config.out / SETTINGS_FILE, f"{json.dumps(config.plain(), indent=2)}\n", mode=SHARED)
