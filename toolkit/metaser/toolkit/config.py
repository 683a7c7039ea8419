"""Settings of a training run: one TOML file, one frozen dataclass per section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from metaser.runtime.errors import InputError
from metaser.toolkit.data.utterances import Column
from metaser.toolkit.episodes.protocol import EpisodeSettings
from metaser.toolkit.toml_config import read_toml, to_dataclass

MOST_DB = 200.0
MOST: Mapping[str, float] = {
    "augment.frame_keep_ratio": 1, "optimiser.wise_ft_alpha": 1, "model.whitening_power": 0.5, "model.scale": 1e6,
    "model.embedding_size": 65_536, "adversary.hidden_size": 65_536, "data.crop_s": 600, "validation.max_s": 600,
    "validation.episodes": 10_000, "augment.speed": 10, "augment.reverberation_s": 60,
    "augment.noise_snr_db": MOST_DB, "augment.gain_db": MOST_DB, "augment.equaliser_db": MOST_DB,
    "augment.time_masks": 1000, "augment.frequency_masks": 1000, "augment.time_mask_s": 600,
    "freeze.variants": 1000, "workers": 1024, "threads": 1024, "optimiser.backbone_lr": 1e30,
    "optimiser.head_lr": 1e30, "optimiser.layer_decay": 10, "optimiser.weight_decay": 1000, "optimiser.momentum": 1,
    "optimiser.classification_weight": 1e6, "adversary.weight": 1e6, "distil.ridge": 1e6,
}  # fmt: skip
"""The largest allowed values; memory or arithmetic would fail above them."""


@dataclass(frozen=True)
class DataConfig:
    """`[data]`: the clips."""

    corpora: tuple[Path, ...] = ()
    """Folders of corpora; relative paths start from the working directory."""
    manifests: tuple[Path, ...] = ()
    """CSV tables `path,label,speaker,language,corpus`."""
    column: Column = "label"
    """The column that gives the class of an episode."""
    validation_speakers: Mapping[str, tuple[str, ...]] | None = None
    """Corpus to held-out speakers, instead of the protocol's; its test speakers never train in either case."""
    crop_s: float = 2.5
    """Longer clips are cut to a random stretch of this length."""
    cache: Literal["disk", "memory", "none"] = "disk"
    """Storage of decoded clips at 16 kHz: below `out`, in memory, or none."""
    strict: bool = False
    """Stop at a clip that is missing, unreadable or of an unknown label, instead of skipping it."""


@dataclass(frozen=True)
class EpisodesConfig(EpisodeSettings):
    """`[episodes]`: how an episode is drawn, and how many."""

    n_query: int = 5
    """Queries per class."""
    count: int = 2000
    """Episodes of the whole run; 0: the initial network is saved."""
    symmetric_loss: bool = False
    """The queries' prototypes also classify the support, so that every clip is a query."""


@dataclass(frozen=True)
class ModelConfig:
    """`[model]`: the network."""

    backbone: str
    """A hub id, a folder in the hub's layout, or a checkpoint to continue from, including its head."""
    layers: int | None = None
    """Number of its first layers; all by default."""
    head: str = "glu"
    embedding_size: int = 256
    whitened_head: bool = False
    """Initialise a new head from statistics of training clips instead of at random."""
    whitening_power: float = 0.25
    """Such a head divides every principal direction by its variance to this power: 0 only rotates, 0.5 whitens."""
    scale: float = 10.0
    """Initial scale of the cosines of a new head; it is learnt."""
    weighted_sum: bool = False
    """Frames are a learnt weighted sum over the input of the first layer and the output of each layer."""
    licence: str = "LicenseRef-unknown"
    """SPDX identifier for the trained weights; corpora can restrict it."""


@dataclass(frozen=True)
class OptimiserConfig:
    """`[optimiser]`: the optimiser step."""

    kind: Literal["adamw", "sgd"] = "adamw"
    backbone_lr: float = 5e-5
    """Learning rate of the topmost layer."""
    head_lr: float = 1e-3
    """Learning rate of the head, the weighted sum and the discriminator."""
    layer_decay: float = 1.0
    """Factor from the learning rate of one layer to that of the layer below it."""
    weight_decay: float = 0.01
    """Weight decay of matrices; vectors (biases, norms, the scale) never decay."""
    momentum: float = 0.9
    """Of sgd."""
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: int = 100
    """Episodes of linear learning rate warm-up."""
    gradient_accumulation: int = 1
    """Episodes per step, shared by all processes."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0: no clipping."""
    ema_decay: float = 0.0
    """Decay per step of the running average of the weights that is validated and saved; 0: the last weights."""
    wise_ft_alpha: float = 1.0
    """The validated and saved weights interpolate from the initial (0) to the learnt weights (1) (WiSE-FT)."""
    classification_weight: float = 0.0
    """Weight of an additional classification loss over the classes of all corpora; 0: none."""


@dataclass(frozen=True)
class FreezeConfig:
    """`[freeze]`: the parts of the backbone that keep their weights and run without dropout."""

    front_end: bool = True
    """Freeze the convolutions; with Whisper also the positions, which are fixed sinusoids."""
    layers: int = 0
    """Number of first layers to freeze, with everything below them."""
    variants: int = 0
    """Number of augmented variants per clip that the frozen part computes once. Training then costs only the trainable
    layers (Whisper only; 50 kB per second and variant in `cache/`). 0: a new augmentation in every episode."""
    all: bool = False


@dataclass(frozen=True)
class AugmentConfig:
    """`[augment]`: each effect applies to a clip with its own probability; ranges are sampled uniformly."""

    noise_chance: float = 0.5
    noise_snr_db: tuple[float, float] = (5.0, 30.0)
    gain_chance: float = 0.5
    gain_db: tuple[float, float] = (-12.0, 6.0)
    speed_chance: float = 0.3
    speed: tuple[float, float] = (0.9, 1.1)
    """Speed factor, which also changes the pitch."""
    reverberation_chance: float = 0.3
    reverberation_s: tuple[float, float] = (0.1, 0.6)
    """Time in which the echo falls by 60 dB."""
    time_masks: int = 2
    """SpecAugment: number of time masks per clip, on the log-mel or on the features."""
    time_mask_s: float = 0.25
    """Their maximum length."""
    frequency_masks: int = 2
    """SpecAugment: number of frequency masks of the log-mel; ignored by families without one."""
    frequency_mask_bins: int = 12
    """Their maximum width."""
    equaliser_chance: float = 0.0
    equaliser_db: float = 12.0
    """Largest deviation of a smooth frequency response, which simulates other microphones and lines."""
    band_chance: float = 0.0
    band_hz: tuple[float, float] = (2500.0, 7000.0)
    """Range of the low-pass cutoff, which simulates narrow channels and codecs."""
    frame_keep_ratio: float = 1.0
    """Random share of a clip's frames that the layers process, to reduce the cost (Whisper only)."""


@dataclass(frozen=True)
class AdversaryConfig:
    """`[adversary]`: domain-adversarial training (Ganin et al., JMLR 2016). Episodes 'within' hold one corpus each."""

    on: Literal["none", "corpus", "language"] = "none"
    """The domain that the discriminator predicts."""
    weight: float = 0.1
    """Maximum strength of the reversed gradient."""
    schedule: Literal["dann", "constant"] = "dann"
    """`dann`: weight · (2 / (1 + exp(-10 p)) - 1) at progress p of the run."""
    hidden_size: int = 128


@dataclass(frozen=True)
class DistilConfig:
    """`[distil]`: the head starts from the joined embeddings of trained networks, which can also be the steps' aim."""

    teachers: tuple[Path, ...] = ()
    """Folders of checkpoints; none: the head starts at random or whitened."""
    ridge: float = 0.03
    """Penalty of the ridge regression, relative to the mean variance of the frames."""
    weight: float = 0.0
    """Share of the loss, 1 minus the cosine to the joined embeddings, in each step; the rest is the episodes' loss."""


@dataclass(frozen=True)
class ValidationConfig:
    """`[validation]`: episodes of held-out speakers, drawn like those of training except for these settings."""

    every: int = 100
    """Training episodes between validations; 0: none."""
    episodes: int = 200
    n_way: int | None = None
    """By default as many classes and shots as in training."""
    k_shot: int | None = None
    n_query: int = 15
    patience: int = 0
    """Early stopping: validations without a new best; 0: never."""
    max_s: float = 10.0
    """Longer clips are cut to their start."""
    batch_clips: int = 16
    """Batch size: clips of similar length are embedded together."""


@dataclass(frozen=True)
class Config:
    """A training run. Raises InputError if settings exclude each other."""

    data: DataConfig
    model: ModelConfig
    episodes: EpisodesConfig = field(default_factory=EpisodesConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    freeze: FreezeConfig = field(default_factory=FreezeConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    out: Path = Path("runs/default")
    """Receives best/, state.pt, log.jsonl, config.json, tensorboard/ and cache/."""
    seed: int = 0
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`; `auto` is cuda if available."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the backbone's arithmetic; weights and loss stay in fp32."""
    gradient_checkpointing: bool = False
    """Recompute each layer in the backward pass to save memory."""
    workers: int = 2
    """Threads that prefetch: decode and augment clips; 0: none."""
    threads: int | None = None
    """Threads of PyTorch on the CPU; default: PyTorch's choice, at most one per core that the process may use."""
    save_every: int = 200
    """Episodes between saved states; each validation also saves one."""

    def __post_init__(self) -> None:
        least: dict[str, float] = {
            "data.crop_s": 0.1, "episodes.count": 0, "model.embedding_size": 1, "optimiser.gradient_accumulation": 1,
            "optimiser.warmup": 0, "optimiser.max_grad_norm": 0, "optimiser.backbone_lr": 0, "optimiser.head_lr": 0,
            "optimiser.layer_decay": 0, "optimiser.ema_decay": 0,
            "optimiser.weight_decay": 0, "optimiser.momentum": 0, "optimiser.wise_ft_alpha": 0,
            "optimiser.classification_weight": 0, "model.whitening_power": 0, "model.scale": 0.1,
            "freeze.layers": 0, "freeze.variants": 0,
            "augment.time_masks": 0, "augment.frequency_masks": 0,
            "adversary.weight": 0, "adversary.hidden_size": 1, "distil.ridge": 0,
            "validation.every": 0, "validation.episodes": 2,
            "validation.patience": 0, "validation.max_s": 0.1, "validation.batch_clips": 1, "seed": 0, "workers": 0,
            "save_every": 1, "augment.speed": 0.1, "augment.reverberation_s": 0.01, "augment.frame_keep_ratio": 0.05,
            "augment.noise_snr_db": -MOST_DB, "augment.gain_db": -MOST_DB, "augment.equaliser_db": 0,
            "augment.time_mask_s": 0, "augment.frequency_mask_bins": 0, "augment.band_hz": 1,
        }  # fmt: skip
        for name, bound in least.items():
            value = self._value(name)
            if (value[0] if isinstance(value, tuple) else value) < bound:
                raise InputError(f"{name} is {value} and must be at least {bound:g}")
        for name, value in asdict(self.augment).items():
            if isinstance(value, tuple) and value[0] > value[1]:
                raise InputError(f"augment.{name} goes from {value[0]} down to {value[1]}: give the lower end first")
            if name.endswith("_chance") and not 0 <= value <= 1:
                raise InputError(f"augment.{name} is {value} and must be between 0 and 1")
        for name, most in MOST.items():
            value = self._value(name)
            if (value[1] if isinstance(value, tuple) else value or 0) > most:
                raise InputError(f"{name} is {value} and must be at most {most:g}")
        if self.optimiser.ema_decay >= 1:
            raise InputError(f"optimiser.ema_decay is {self.optimiser.ema_decay} and must be below 1")
        if not self.data.corpora and not self.data.manifests:
            raise InputError("data.corpora and data.manifests are both empty: name at least one folder or table")
        if self.episodes.count % self.optimiser.gradient_accumulation:
            raise InputError(
                f"episodes.count is {self.episodes.count} and must be a multiple of optimiser.gradient_accumulation, "
                f"{self.optimiser.gradient_accumulation}"
            )

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.episodes.count // self.optimiser.gradient_accumulation

    def plain(self) -> dict[str, Any]:
        """The settings as a JSON object."""
        return _plain(asdict(self))

    def _value(self, name: str) -> Any:
        section, _, key = name.rpartition(".")
        return getattr(getattr(self, section) if section else self, key)


def load_config(path: str | Path) -> Config:
    """Read a TOML file.

    Raises:
        NotFoundError: there is no such file.
        InputError: not TOML, a key that does not exist, a value of another type, or settings that exclude each other.
    """
    path = Path(path)
    return to_dataclass(Config, read_toml(path), path.name)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value.as_posix() if isinstance(value, Path) else value
