"""One run of the search on stored frames: the steps of `metaser train`, in a CUDA graph on a GPU.

Letters: B clips of an episode, N frames, K kept frames, D frame width, E embedding size, M clips to evaluate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.research.unseen.episodes import Episodes, chosen_speakers
from benchmarks.research.unseen.material import Material
from benchmarks.research.unseen.recipe import Recipe
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.masking import frame_mask, masked_mean
from metaser.toolkit.model.network import Head, ProtoNet, cosine_logits, make_head, prototypes
from metaser.toolkit.training.whitening import set_whitening

WHITENING_CLIPS = 800
MAX_GRAD_NORM = 5.0
WARM_UP_STEPS = 3
"""Steps before a CUDA graph is captured; their effect is undone."""


class Stats(Head):
    """The mean and the standard deviation of the frames, then a linear layer."""

    kind = "stats"

    def __init__(self, width: int, embedding_size: int) -> None:
        super().__init__(width, embedding_size)
        self.projection = nn.Linear(2 * width, embedding_size)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """[B, N, D] and [B, N] -> [B, E]."""
        return F.linear(mean_and_deviation(frames, mask), self.projection.weight, self.projection.bias)


def mean_and_deviation(frames: Tensor, mask: Tensor) -> Tensor:
    """[B, N, D] and [B, N] -> [B, 2 D]."""
    mean = masked_mean(frames, mask)
    variance = masked_mean((frames - mean[:, None]).square(), mask)
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


def thin(frames: Tensor, lengths: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """As `metaser.toolkit.model.frame_dropping.thin`, drawn on the device: [B, N, D] and [B] -> [B, K, D] and [B]."""
    size = frames.shape[1]
    most = max(1, round(ratio * size))
    counts = (lengths * ratio).round().long().clamp(1, most)
    places = torch.rand(len(frames), size, device=frames.device) + 2 * (1 - frame_mask(lengths, size))
    chosen = places.argsort(1)[:, :most]  # [B, K], valid frames first
    beyond = torch.arange(most, device=frames.device) >= counts[:, None]
    chosen = chosen.masked_fill(beyond, size).sort(1).values.clamp(max=size - 1)
    return torch.take_along_dim(frames, chosen[..., None], 1), counts


class Run:
    """A network and its training by a recipe."""

    def __init__(self, recipe: Recipe, material: Material, backbone: Path, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.material, self.device = recipe, material, device
        body = load_backbone(backbone, recipe.layers)
        head = Stats(body.width, recipe.embedding_size) if recipe.head == "stats" else None
        self.network = ProtoNet(body, head or make_head(recipe.head, body.width, recipe.embedding_size)).to(device)
        freeze_below(self.network, recipe.frozen_layers, recipe.trained_part, recipe.dropout)
        self._whiten()
        self.weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.start = flat(self.weights)
        labels = np.unique([clip.label for clip in material.training], return_inverse=True)[1]
        self._labels = torch.from_numpy(labels).to(device)
        count = int(labels.max()) + 1
        self._directions = nn.Parameter(torch.randn(count, recipe.embedding_size, device=device))

    def train(self, checkpoints: Sequence[int]) -> dict[int, Tensor]:
        """Train; the running averages of the weights after these steps, as vectors."""
        recipe, device = self.recipe, self.device
        self.network.train()
        count = recipe.gradient_accumulation
        clips = torch.zeros(count, recipe.n_way * (recipe.k_shot + recipe.n_query), dtype=torch.long, device=device)
        decay = torch.zeros((), device=device)
        averages = [weight.detach().clone() for weight in self.weights]
        optimiser = self._optimiser()
        trained = [*self.weights, self._directions]

        def step() -> None:
            for own in clips:
                (self._loss(own) / count).backward()
            nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
            optimiser.step()
            optimiser.zero_grad(set_to_none=False)
            follow(averages, self.weights, decay)

        episodes = iter(Episodes(recipe, self.material.training))
        run = captured(step, optimiser, [*trained, *averages]) if device.type == "cuda" else step
        found = {}
        for done in range(recipe.episodes // count):
            clips.copy_(torch.from_numpy(np.stack([next(episodes) for _ in range(count)])))
            set_rates(optimiser, decay, recipe, done)
            run()
            if done + 1 in checkpoints:
                found[done + 1] = flat(averages)
        return found

    @torch.inference_mode()
    def embed(self, weights: Tensor) -> Tensor:
        """The embeddings [M, E] of all clips to evaluate, by these weights; they replace those of the network."""
        fill(self.weights, weights)
        return embed_all(self.network, self.material)

    def _loss(self, clips: Tensor) -> Tensor:
        """The symmetric loss of an episode, [B] clips, and the label loss."""
        recipe, stored = self.recipe, self.material.variants
        rows = clips * self.material.count + torch.randint_like(clips, self.material.count)
        kept = thin(stored.frames[rows].float(), stored.lengths[rows], recipe.frame_keep_ratio)
        embeddings = embed(self.network, *kept, self.material.start)
        halves = embeddings.split([recipe.n_way * recipe.k_shot, recipe.n_way * recipe.n_query])
        classes = torch.arange(recipe.n_way, device=self.device)
        loss = torch.zeros((), device=self.device)
        for support, queries in (halves, halves[::-1]):
            shots, asked = len(support) // recipe.n_way, len(queries) // recipe.n_way
            weights = torch.eye(recipe.n_way, device=self.device).repeat_interleave(shots, dim=1) / shots
            logits = cosine_logits(queries, prototypes(support, weights), self.network.head.scale)
            loss = loss + F.cross_entropy(logits, classes.repeat_interleave(asked)) / 2
        cosines = F.normalize(embeddings, dim=-1) @ F.normalize(self._directions, dim=-1).T
        return loss + recipe.classification_weight * F.cross_entropy(10 * cosines, self._labels[clips])

    def _optimiser(self) -> torch.optim.Optimizer:
        named = [*self.network.named_parameters(), ("directions", self._directions)]
        return make_optimiser(self.recipe, named, self.device)

    @torch.inference_mode()
    def _whiten(self) -> None:
        """As `metaser train`, but from whole training clips."""
        pool = mean_and_deviation if self.recipe.head == "stats" else masked_mean
        means = []
        for part in self.material.whole:
            frames, lengths = self.network.backbone.attend(part.frames.float(), part.lengths, start=self.material.start)
            means.append(pool(frames, frame_mask(lengths, frames.shape[1])))
        own = torch.tensor(
            self.material.trains(chosen_speakers(self.recipe, self.material.training)), device=self.device
        )
        vectors = torch.cat(means)[own].cpu()
        layer = self.network.head.get_submodule("value" if self.recipe.head == "glu" else "projection")
        assert isinstance(layer, nn.Linear)
        set_whitening(layer, vectors[torch.randperm(len(vectors))[:WHITENING_CLIPS]], self.recipe.whitening_power)


def freeze_below(network: ProtoNet, frozen_layers: int, trained_part: str = "", dropout: float = 0.0) -> None:
    """Train only the head and the weights of later layers whose name contains `trained_part`."""
    network.backbone.requires_grad_(requires_grad=False)
    for number, layer in enumerate(network.backbone.get_submodule("encoder.layers").children()):
        for kind in ("dropout", "activation_dropout"):
            setattr(layer, kind, dropout)
        for name, weight in layer.named_parameters():
            weight.requires_grad_(number >= frozen_layers and trained_part in name)


def make_optimiser(
    recipe: Recipe, named: Iterable[tuple[str, nn.Parameter]], device: torch.device
) -> torch.optim.Optimizer:
    """AdamW with rates that decay towards the first layers; its rates are tensors, so that a CUDA graph reads them."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in named:
        rate = recipe.head_lr
        if name.startswith("backbone.encoder.layers."):
            rate = recipe.backbone_lr * recipe.layer_decay ** (recipe.layers - 1 - int(name.split(".")[3]))
        if weight.requires_grad:
            groups.setdefault((rate, recipe.weight_decay if weight.ndim > 1 else 0.0), []).append(weight)
    tables = [
        {"params": own, "lr": torch.tensor(rate, device=device), "full_rate": rate, "weight_decay": decay}
        for (rate, decay), own in groups.items()
    ]
    on_gpu = device.type == "cuda"
    return torch.optim.AdamW(tables, capturable=on_gpu, foreach=on_gpu)


def set_rates(optimiser: torch.optim.Optimizer, decay: Tensor, recipe: Recipe, done: int) -> None:
    """The rates and the decay of the running average after so many steps."""
    for group in optimiser.param_groups:
        group["lr"].fill_(group["full_rate"] * min(1.0, (done + 1) / recipe.warmup))
    decay.fill_(min(recipe.ema_decay, (1 + done) / (10 + done)))


@torch.no_grad()
def follow(averages: Sequence[Tensor], weights: Sequence[Tensor], decay: Tensor) -> None:
    """Move running averages towards the weights."""
    for average, weight in zip(averages, weights, strict=True):
        average.mul_(decay).add_(weight * (1 - decay))


@torch.no_grad()
def fill(weights: Sequence[Tensor], values: Tensor) -> None:
    """Set weights from a vector of `flat`."""
    place = 0
    for weight in weights:
        weight.copy_(values[place : place + weight.numel()].view_as(weight))
        place += weight.numel()


def embed(network: ProtoNet, frames: Tensor, lengths: Tensor, start: int) -> Tensor:
    """The embeddings [B, E] of frames [B, N, D] before layer `start`."""
    frames, lengths = network.backbone.attend(frames, lengths, start=start)
    return network.head(frames, frame_mask(lengths, frames.shape[1]))


@torch.inference_mode()
def embed_all(network: ProtoNet, material: Material) -> Tensor:
    """The embeddings [M, E] of all clips to evaluate."""
    network.eval()
    return torch.cat([embed(network, part.frames.float(), part.lengths, material.start) for part in material.whole])


def captured(
    step: Callable[[], None], optimiser: torch.optim.Optimizer, changed: Sequence[Tensor]
) -> Callable[[], None]:
    """A step as a CUDA graph; what the steps before the capture changed is restored."""
    before = [one.detach().clone() for one in changed]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    with torch.no_grad():
        for one, value in zip(changed, before, strict=True):
            one.copy_(value)
        for state in optimiser.state.values():
            for value in state.values():
                value.zero_()
    return graph.replay


def flat(weights: Sequence[Tensor]) -> Tensor:
    """All weights in one new vector."""
    return torch.cat([weight.detach().ravel() for weight in weights]).clone()
