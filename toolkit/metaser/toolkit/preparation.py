"""A run put together: clips, network, optimiser and state, everything that the training loop works with."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from metaser.runtime.errors import InputError
from metaser.runtime.files import SHARED, replace_text, sweep
from metaser.runtime.folders import recover
from metaser.runtime.os_errors import cannot_write
from metaser.toolkit.adversary import Discriminator
from metaser.toolkit.averaging import Pull, average_of, on_the_way
from metaser.toolkit.batches import BatchMaker
from metaser.toolkit.checkpoint import CheckpointMetadata, save_checkpoint
from metaser.toolkit.config import Config
from metaser.toolkit.freezing import checkpoint_gradients, computes_bfloat16, freeze, keep_log_mel_precise
from metaser.toolkit.logs import LOG_FILE
from metaser.toolkit.losses import LabelClassifier
from metaser.toolkit.material import Material, gather
from metaser.toolkit.network import ProtoNet
from metaser.toolkit.processes import Processes
from metaser.toolkit.schedule import make_optimiser, trainable
from metaser.toolkit.starting import open_network
from metaser.toolkit.state import STATE_FILE, Progress, load_state, save_state
from metaser.toolkit.utterances import classes_by
from metaser.toolkit.validate import Validator
from metaser.toolkit.variants import VariantStore
from metaser.toolkit.whisper import WhisperBackbone

BEST = "best"
SETTINGS_FILE = "config.json"


@dataclass(frozen=True, eq=False)
class Run:
    """Everything the training loop works with; `progress`, the network and the optimiser change as it goes."""

    config: Config
    processes: Processes
    material: Material
    network: ProtoNet
    metadata: CheckpointMetadata
    discriminator: Discriminator | None
    """None without an adversary."""
    classifier: LabelClassifier | None
    """None without a loss on labels."""
    average: AveragedModel | None
    """None where the last weights are kept."""
    start: ProtoNet | None
    """The network before its first step; None where all that was learnt is kept."""
    pull: Pull | None
    """None where nothing draws the backbone back."""
    parameters: list[nn.Parameter]
    """All that learn."""
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Does nothing but with fp16."""
    maker: BatchMaker
    validator: Validator | None
    """None where no validation is wanted."""
    progress: Progress

    def own_episodes(self, step: int) -> range:
        """The episodes of a step that this process takes."""
        count = self.config.optimiser.accumulation
        return self.processes.own(range(step * count, (step + 1) * count))

    def save_state(self) -> None:
        """Keep where the run is."""
        if self.processes.is_main:
            save_state(self.config, self.material.fingerprint, self.progress, self.parts)

    def save_best(self) -> None:
        """Keep the network as the best so far."""
        if self.processes.is_main:
            save_checkpoint(self.config.out / BEST, self.kept, self.metadata)

    @property
    def kept(self) -> ProtoNet:
        """What is validated and kept: the network or its running average, or so far on the way there."""
        learnt: Any = self.network if self.average is None else self.average.module
        assert isinstance(learnt, ProtoNet)
        return learnt if self.start is None else on_the_way(self.start, learnt, self.config.optimiser.learnt_share)

    @property
    def parts(self) -> dict[str, Any]:
        """Whatever has a state dict that a resumed run needs."""
        parts = {"network": self.network, "optimiser": self.optimiser, "scaler": self.scaler}
        optional = {"discriminator": self.discriminator, "classifier": self.classifier, "average": self.average}
        return parts | {name: part for name, part in optional.items() if part is not None}


def prepare(config: Config, say: Callable[[str], None], *, resume: bool) -> Run:
    """Check and load everything, with the state of an interrupted run if it is to be resumed.

    Raises:
        MetaserError: something cannot be used; nothing is written then but decoded clips.
    """
    processes = Processes(config.device)
    _check(config, processes, resume=resume)
    tell = say if processes.is_main else lambda _: None
    if config.precision == "bf16" and not computes_bfloat16(processes.device):
        tell("this CPU has no arithmetic for bf16: precision 'fp32' is many times as fast")
    material = gather(config, tell)
    network, metadata = open_network(config, material)
    freeze(network.backbone, config.freeze)
    if config.augment.kept_frames < 1 and not isinstance(network.backbone, WhisperBackbone):
        raise InputError(f"augment.kept_frames is for Whisper alone and this backbone is {network.backbone.family}")
    if config.gradient_checkpointing:
        checkpoint_gradients(network.backbone)
    if config.precision != "fp32":
        keep_log_mel_precise(network.backbone)
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
    if config.optimiser.label_weight:
        labels = classes_by(material.training_clips.utterances, config.data.column)
        classifier = LabelClassifier(config.model.embedding_size, len(labels), config.model.scale).to(processes.device)
    beside = [module for module in (discriminator, classifier) if module is not None]
    settings = config.optimiser
    validator = None
    if material.validation is not None:
        validator = Validator(config.validation, material.validation, material.validation_clips, processes)
    run = Run(
        config, processes, material, network, metadata, discriminator, classifier,
        average=average_of(network, settings.average) if settings.average else None,
        start=copy.deepcopy(network) if settings.learnt_share < 1 else None,
        pull=Pull(trainable(network.backbone), settings.pull) if settings.pull else None,
        parameters=trainable(network, *beside),
        optimiser=make_optimiser(settings, network, *beside),
        scaler=torch.amp.GradScaler(processes.device.type, enabled=config.precision == "fp16"),
        maker=BatchMaker(config, material.training, material.training_clips, material.domains, variants),
        validator=validator,
        progress=Progress(),
    )  # fmt: skip
    if resume:
        load_state(config, material.fingerprint, run.parts, run.progress)
    if processes.is_main:
        _open_folder(config)
    processes.wait()
    return run


def _check(config: Config, processes: Processes, *, resume: bool) -> None:
    if config.optimiser.accumulation < processes.count:
        raise InputError(
            f"{processes.count} processes share the {config.optimiser.accumulation} episodes of a step "
            "(optimiser.accumulation): give each at least one"
        )
    if config.precision == "fp16" and processes.device.type != "cuda":
        raise InputError(f"precision 'fp16' needs a CUDA device and this is {processes.device.type}: use 'bf16'")
    for name in () if resume else (STATE_FILE, BEST):
        if (config.out / name).exists():
            raise InputError(f"{config.out} already holds a run ({name}): go on with --resume, or choose another out")


def _open_folder(config: Config) -> None:
    """Put in order what a killed run left, and write the settings down."""
    for name in (STATE_FILE, SETTINGS_FILE, LOG_FILE):
        sweep(config.out / name)
    try:
        recover(config.out / BEST)
    except OSError as error:
        raise cannot_write(config.out / BEST, error) from error
    replace_text(config.out / SETTINGS_FILE, f"{json.dumps(config.plain(), indent=2)}\n", mode=SHARED)
