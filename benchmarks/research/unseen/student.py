"""A network that is distilled from many: its embeddings of whole training clips approach those of its teachers.

Letters: B clips of a step, E embedding size, M clips to evaluate, T training clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.research.unseen.material import Frames, Material
from benchmarks.research.unseen.recipe import SIX, Recipe
from benchmarks.research.unseen.run import (
    captured,
    embed,
    embed_all,
    fill,
    flat,
    follow,
    freeze_below,
    make_optimiser,
    set_rates,
    thin,
)
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.checkpoint import load_checkpoint
from metaser.toolkit.model.masking import frame_mask, masked_mean
from metaser.toolkit.model.network import ProtoNet, make_head
from metaser.toolkit.training.distillation import ridge
from metaser.toolkit.training.losses import distillation_loss

CLIPS = 64
"""Per step, evenly from the corpora."""
MAX_GRAD_NORM = 1.0
RIDGE = 0.01
RECIPE = Recipe(
    corpora=SIX, episodes=1200, backbone_lr=5e-5, head_lr=1.5e-4, warmup=30, ema_decay=0.99, frame_keep_ratio=0.6
)
"""`episodes` counts the steps."""
WITHOUT = 400
"""Steps of the students that never heard a language."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a student learns from."""

    material: Material
    whole: Frames
    """Of the T training clips."""
    wanted: Tensor
    """[M, E] the joined embeddings of the teachers."""


def distilled(recipe: Recipe, lesson: Lesson, backbone: Path, start: Path | None, device: torch.device) -> ProtoNet:
    """The trained student; its encoder starts from a checkpoint, or from the backbone.

    The head starts from the ridge regression from the mean frames to the teachers' embeddings.
    """
    torch.manual_seed(recipe.seed)
    network = open_student(recipe, backbone, start).to(device)
    material, whole = lesson.material, lesson.whole
    freeze_below(network, recipe.frozen_layers)
    place = {clip: row for row, clip in enumerate(material.heard)}
    wanted = lesson.wanted.to(device)[[place[clip] for clip in material.training]]  # [T, E]
    names = [clip.corpus for clip in material.training]
    rows = torch.tensor([row for row, name in enumerate(names) if name in recipe.corpora], device=device)
    chances = torch.tensor([1 / names.count(names[row]) for row in rows.tolist()], device=device)
    head = network.head.get_submodule("projection")
    assert isinstance(head, nn.Linear)
    means = _mean_frames(network, material.start, whole, rows)
    weight, bias = ridge(means, wanted[rows] * recipe.embedding_size**0.5, RIDGE)
    head.weight.data.copy_(weight)
    head.bias.data.copy_(bias)

    network.head.scale.requires_grad = False
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    averages = [weight.detach().clone() for weight in trained]
    optimiser = make_optimiser(recipe, network.named_parameters(), device)
    clips, decay = torch.zeros(CLIPS, dtype=torch.long, device=device), torch.zeros((), device=device)

    def step() -> None:
        kept = thin(whole.frames[clips].float(), whole.lengths[clips], recipe.frame_keep_ratio)
        distillation_loss(embed(network, *kept, material.start), wanted[clips]).backward()
        nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
        optimiser.step()
        optimiser.zero_grad(set_to_none=False)
        follow(averages, trained, decay)

    network.train()
    run = captured(step, optimiser, [*trained, *averages]) if device.type == "cuda" else step
    for done in range(recipe.episodes):
        clips.copy_(rows[torch.multinomial(chances, CLIPS)])
        set_rates(optimiser, decay, recipe, done)
        run()
    fill(trained, flat(averages))
    return network.eval()


def open_student(recipe: Recipe, backbone: Path, start: Path | None) -> ProtoNet:
    """A network with the first layers of a backbone, those of them that a checkpoint has as they are there."""
    body = load_backbone(backbone, recipe.layers)
    if start is not None:
        body.load_state_dict(load_checkpoint(start)[0].backbone.state_dict(), strict=False)
    return ProtoNet(body, make_head("mean-fc", body.width, recipe.embedding_size))


@torch.inference_mode()
def joined(embeddings: Sequence[tuple[float, Tensor]], fitted: Sequence[bool], size: int) -> tuple[Tensor, Tensor]:
    """Weights and unit rows [M, E_i] of teachers -> rows [M, ΣE_i] whose cosines are weighted means, and [M, size].

    The second are rotated to the directions with most of the variance of the rows in `fitted`.
    """
    rows = F.normalize(torch.cat([weight**0.5 * own.float() for weight, own in embeddings], dim=1), dim=1)
    own = torch.tensor(fitted, device=rows.device)
    _, _, directions = torch.linalg.svd(rows[own], full_matrices=False)
    return rows, F.normalize(rows @ directions[:size].T, dim=1)


@torch.inference_mode()
def embeddings_of(network: ProtoNet, material: Material) -> Tensor:
    """[M, E] unit rows of all clips to evaluate."""
    return F.normalize(embed_all(network, material), dim=1)


@torch.no_grad()
def _mean_frames(network: ProtoNet, start: int, whole: Frames, rows: Tensor) -> Tensor:
    """[rows, D] the mean of each clip's last frames."""
    means = []
    for own in rows.split(CLIPS):
        frames, lengths = network.backbone.attend(whole.frames[own].float(), whole.lengths[own], start=start)
        means.append(masked_mean(frames, frame_mask(lengths, frames.shape[1])))
    return torch.cat(means)
