"""Steps of AdamW on a pooling head by the graph `tune.onnx`: fine-tuning with numpy and onnxruntime.

The same steps as the toolkit's `tune_head`: clips, masks and weights come from the sampler that both share.

Letters: M support clips, N frames, D frame width, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check_fields
from metaser.runtime.arrays import HeadParameters
from metaser.runtime.errors import BundleError, InputError
from metaser.runtime.providers.session import open_session, run_all
from metaser.runtime.tuning.steps import Indices, MaskSettings, Method, StepSampler

TUNE_GRAPH = "tune.onnx"
TUNE_NAMES = (
    "learning_rate", "weight_decay", "epsilon", "step", "frames", "frame_mask", "support_weights", "query_weights",
    "loss",
)  # fmt: skip
EPSILON = 1e-8
"""Of Adam; the default of torch.optim."""


@dataclass(frozen=True)
class HeadTuningSettings:
    """How a head is tuned on a support set and when it is kept; a bundle's manifest may override each setting.

    Raises:
        InputError: a value is out of its range.
    """

    method: Method = "split"
    one_shot_method: Method = "time"
    """The method if a class has a single clip."""
    steps: int = 50
    learning_rate: float = 3e-4
    weight_decay: float = 0.0
    """Decoupled (AdamW); with 0 it is Adam."""
    margin: float = 0.02
    """The guard keeps a head whose cross-fitted log-loss is lower by at least this share."""
    seed: int = 0
    masks: MaskSettings = field(default_factory=MaskSettings)

    def __post_init__(self) -> None:
        check_fields(self)
        if not {self.method, self.one_shot_method} <= set(get_args(Method)):
            raise InputError(f"the method is {self.method!r}: choose one of {', '.join(get_args(Method))}")
        if self.steps < 1:
            raise InputError(f"steps is {self.steps} and must be at least 1")
        if self.learning_rate <= 0:
            raise InputError(f"learning_rate is {self.learning_rate} and must be above 0")
        if min(self.weight_decay, self.margin, self.seed) < 0:
            raise InputError(
                f"weight_decay is {self.weight_decay}, margin {self.margin} and seed {self.seed}: none may be below 0"
            )

    @classmethod
    def of_manifest(cls, tuning: Mapping[str, Any]) -> HeadTuningSettings:
        """The settings in a manifest's `tuning`, and the defaults for the rest.

        Raises:
            BundleError: a value of the manifest cannot be used.
        """
        known = {item.name for item in fields(cls)} - {"masks", "seed"}
        try:
            return cls(**{name: value for name, value in tuning.items() if name in known})
        except (TypeError, InputError) as error:
            raise BundleError(f"bundle.json has unusable tuning settings ({error}): export the bundle again") from error

    def method_for(self, targets: Indices) -> Method:
        """The method, or the one-shot method if a class has a single clip."""
        return self.method if np.bincount(targets).min() > 1 else self.one_shot_method


@dataclass(frozen=True, eq=False)
class SupportFrames:
    """The encoder's frames of a support set, padded with zeros."""

    frames: npt.NDArray[np.float32]
    """[M, N, D]"""
    lengths: Indices
    """[M] number of frames of each clip."""
    targets: Indices
    """[M] classes, 0 to C - 1."""

    @classmethod
    def of(cls, clips: Sequence[npt.NDArray[np.floating]], targets: Indices) -> SupportFrames:
        """M arrays [N, D] of any float type."""
        lengths = np.array([len(clip) for clip in clips], np.int64)
        frames = np.zeros((len(clips), lengths.max(), clips[0].shape[1]), np.float32)
        for row, clip in zip(frames, clips, strict=True):
            row[: len(clip)] = clip
        return cls(frames, lengths, targets)

    @property
    def mask(self) -> npt.NDArray[np.float32]:
        """[M, N] 1 for the frames of a clip."""
        return (np.arange(self.frames.shape[1]) < self.lengths[:, None]).astype(np.float32)

    def take(self, rows: Indices) -> SupportFrames:
        """Some of the clips."""
        lengths = self.lengths[rows]
        return SupportFrames(self.frames[rows, : lengths.max()], lengths, self.targets[rows])


class HeadTuner:
    """A tuning graph, always on the CPU, as a head is small."""

    def __init__(self, graph: Path, threads: int | None = None) -> None:
        self._session = open_session(graph, "cpu", threads, TUNE_NAMES)
        self._inputs = [given.name for given in self._session.get_inputs()]

    def tune(self, head: HeadParameters, support: SupportFrames, settings: HeadTuningSettings) -> HeadParameters:
        """The parameters after all steps; deterministic for a seed.

        Raises:
            SupportError: fewer than two classes, or a clip without frames.
            BundleError: the graph's parameters differ from the head's.
            WorkError: a step failed, e.g. out of memory.
        """
        sampler = StepSampler(
            support.targets, support.lengths, settings.method_for(support.targets), settings.seed, settings.masks
        )
        state = {f"parameter.{name}": np.asarray(value, np.float32) for name, value in head.items()}
        state |= {
            f"{part}_moment.{name}": np.zeros_like(value, np.float32)
            for part in ("first", "second")
            for name, value in head.items()
        }
        if missing := set(self._inputs) - set(state) - set(TUNE_NAMES):
            raise BundleError(f"{TUNE_GRAPH} takes {', '.join(sorted(missing))}: export the bundle again")
        scalars = {"learning_rate": settings.learning_rate, "weight_decay": settings.weight_decay, "epsilon": EPSILON}
        fixed = {name: np.array(value, np.float32) for name, value in scalars.items()}
        for index in range(settings.steps):
            step = sampler.draw(index)
            data = {
                "step": np.array(index + 1, np.int64),
                "frames": support.frames[step.rows],
                "frame_mask": step.frame_mask,
                "support_weights": step.support_weights,
                "query_weights": step.query_weights,
            }
            after = run_all(self._session, {**state, **fixed, **data})
            nothing = np.zeros(0)
            if lost := [name for name in state if after.get(f"{name}.next", nothing).shape != state[name].shape]:
                raise BundleError(f"{TUNE_GRAPH} gives no valid {lost[0]}.next: export the bundle again")
            state = {name: after[f"{name}.next"] for name in state}
        return {name: state[f"parameter.{name}"] for name in head}
