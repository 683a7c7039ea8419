"""Meta-test tuning: a few Adam steps on the support set, for the head alone or the whole network.

The methods and their inner splits are those of `metaser.runtime.tuning.steps`, which devices also use. The network
stays in eval mode, so dropout is off; the masks are drawn here, so they stay active.

Letters: M support clips, B rows of a step, N frames, D frame width, T samples, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from metaser.runtime.errors import InputError
from metaser.runtime.tuning.head import SupportFrames
from metaser.runtime.tuning.steps import Indices, MaskSettings, Method, StepSampler, TuningStep
from metaser.toolkit.model.network import Clips, Head, ProtoNet, cosine_logits, frame_mask, prototypes

Tuning: TypeAlias = Literal["none"] | Method


@dataclass(frozen=True)
class TuningSettings:
    """Settings of tuning on a support set; choose rates and steps on validation speakers.

    Raises:
        InputError: an unknown method, no steps, or a rate that is not above zero.
    """

    method: Tuning = "split"
    steps: int = 40
    learning_rate: float = 1e-3
    """Learning rate of the head."""
    backbone_learning_rate: float = 1e-5
    """Learning rate of the backbone, if it is tuned."""
    weight_decay: float = 0.0
    """Decoupled (AdamW); 0: Adam."""
    masks: MaskSettings = field(default_factory=MaskSettings)

    def __post_init__(self) -> None:
        if self.method not in ("none", *get_args(Method)):
            raise InputError(f"the method is {self.method!r}: choose one of none, {', '.join(get_args(Method))}")
        if self.steps < 1:
            raise InputError(f"steps is {self.steps} and must be at least 1; without tuning the method is 'none'")
        for name in ("learning_rate", "backbone_learning_rate"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)} and must be above 0")


def tune_head(head: Head, support: SupportFrames, settings: TuningSettings, seed: int) -> Head:
    """Return a tuned copy of a head.

    Raises:
        SupportError: the support set is too small for the method.
    """
    tuned = copy.deepcopy(head)
    for _ in head_steps(tuned, support, settings, seed):
        pass
    return tuned


def tune_model(model: ProtoNet, clips: Clips, targets: Indices, settings: TuningSettings, seed: int) -> ProtoNet:
    """Return a tuned copy of a network, in eval mode; clips are waveforms [M, T] with lengths [M].

    Raises:
        SupportError: the support set is too small for the method.
    """
    tuned = copy.deepcopy(model).eval()
    for _ in model_steps(tuned, clips, targets, settings, seed):
        pass
    return tuned


def head_steps(head: Head, support: SupportFrames, settings: TuningSettings, seed: int) -> Iterator[float]:
    """Tune `head` in place, step by step; yields the loss before each step."""
    if settings.method == "none":
        return
    sampler = StepSampler(support.targets, support.lengths, settings.method, seed, settings.masks)

    frames = torch.from_numpy(support.frames)  # [M, N, D]

    def embed(step: TuningStep) -> Tensor:
        embedding: Tensor = head(frames[torch.from_numpy(step.rows)], torch.from_numpy(step.frame_mask))
        return embedding  # [B, E]

    rates = [{"params": list(head.parameters()), "lr": settings.learning_rate}]
    yield from _steps(embed, head.scale, rates, sampler, settings)


def model_steps(
    model: ProtoNet, clips: Clips, targets: Indices, settings: TuningSettings, seed: int
) -> Iterator[float]:
    """Tune `model` in place, step by step; yields the loss before each step.

    Masked frames are also zeroed in the waveform, so that neither the backbone nor the head sees them.
    """
    if settings.method == "none":
        return
    waveform, lengths = clips
    with torch.no_grad():
        frame_lengths = model.backbone(waveform, lengths)[1].numpy()
    sampler = StepSampler(targets, frame_lengths, settings.method, seed, settings.masks)
    whole = frame_mask(torch.from_numpy(frame_lengths), int(frame_lengths.max()))  # [M, N]

    def embed(step: TuningStep) -> Tensor:
        rows, mask = torch.from_numpy(step.rows), torch.from_numpy(step.frame_mask)
        kept = _by_sample(1 - whole[rows] + mask, waveform.shape[1], model.backbone.hop_samples)  # [B, T]
        frames, _ = model.backbone(waveform[rows] * kept, lengths[rows])  # [B, N, D]
        embedding: Tensor = model.head(frames, mask)
        return embedding  # [B, E]

    rates = [
        {"params": list(model.head.parameters()), "lr": settings.learning_rate},
        {"params": list(model.backbone.parameters()), "lr": settings.backbone_learning_rate},
    ]
    yield from _steps(embed, model.head.scale, rates, sampler, settings)


def _steps(
    embed: Callable[[TuningStep], Tensor],
    scale: Tensor,
    rates: Sequence[dict[str, Any]],
    sampler: StepSampler,
    settings: TuningSettings,
) -> Iterator[float]:
    optimiser = torch.optim.AdamW(rates, weight_decay=settings.weight_decay)
    for index in range(settings.steps):
        step = sampler.draw(index)
        embeddings = embed(step)  # [B, E]
        classes = prototypes(embeddings, torch.from_numpy(step.support_weights))  # [C, E]
        logits = cosine_logits(embeddings, classes, scale)  # [B, C]
        loss = -(torch.from_numpy(step.query_weights) * logits.log_softmax(-1)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield loss.item()


def _by_sample(by_frame: Tensor, n_samples: int, hop_samples: int) -> Tensor:
    """[B, N] -> [B, T]: each frame's value over its hop of samples, the last frame's value for the rest."""
    frame = np.minimum(np.arange(n_samples) // hop_samples, by_frame.shape[1] - 1)
    return by_frame[:, torch.from_numpy(frame)]
