"""Shared parts of the experiments with trained layers: clips, budget, trained networks, and stored results.

Everything slow is stored below a folder, so that a stopped run continues where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.accuracy.specs import TRAINED_ON, Spec, sampler_of
from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.system.files import replace_file
from metaser.toolkit.config import Config, load_config
from metaser.toolkit.data.corpora import Utterance
from metaser.toolkit.episodes.sampler import Sampling
from metaser.toolkit.evaluation.embeddings import Embedder, embed_by, embed_clips, open_embedder
from metaser.toolkit.evaluation.evaluate import Evaluation, evaluate
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.checkpoint import load_checkpoint
from metaser.toolkit.model.network import ProtoNet, identity_head
from metaser.toolkit.training.run import BEST
from metaser.toolkit.training.state import STATE_FILE
from metaser.toolkit.training.train import train

RECIPE = Path(__file__).parents[2] / "configs" / "whisper-small-cpu.toml"
SEED = 0
LAYERS = 3


@dataclass(frozen=True)
class Budget:
    """The budget, which fits into an hour of one core."""

    episodes: int = 150
    """Training episodes of a network; the full recipe has many more."""
    validate_every: int = 50
    validation_episodes: int = 300
    crop_s: float = 2.0
    """Clips of training and of whole-model tuning are cut to this."""
    head: str = "mean-fc"
    test_episodes: int = 600
    """Episodes per corpus and speaker split, on whole clips."""
    tuning_episodes: int = 40
    choice_episodes: int = 2
    """Episodes per validation corpus, to choose rate and steps of a tuning."""


@dataclass(frozen=True, eq=False)
class Bench:
    """The clips, the budget, and the folder of stored results."""

    backbone: Path
    corpora: Path
    """Holds a folder for each corpus."""
    utterances: tuple[Utterance, ...]
    folder: Path
    budget: Budget = field(default_factory=Budget)
    threads: int = 1

    def train(self, sampling: Sampling) -> Path:
        """The checkpoint of a network trained on episodes of one corpus, or over corpora."""
        config = self._config(sampling)
        finished = config.out / "finished"
        if not finished.exists():
            train(config, partial(print, flush=True), resume=(config.out / STATE_FILE).exists())
            finished.touch()
        return config.out / BEST

    def _config(self, sampling: Sampling) -> Config:
        recipe, budget = load_config(RECIPE), self.budget
        return replace(
            recipe,
            out=self.folder / sampling,
            seed=SEED,
            precision="fp32",
            threads=self.threads,
            save_every=10,
            data=replace(recipe.data, corpora=tuple(self.corpora / name for name in TRAINED_ON), crop_s=budget.crop_s),
            episodes=replace(recipe.episodes, sampling=sampling, count=budget.episodes),
            model=replace(recipe.model, backbone=str(self.backbone), layers=LAYERS, head=budget.head),
            optimiser=replace(recipe.optimiser, warmup=budget.episodes // 10),
            validation=replace(
                recipe.validation, every=budget.validate_every, episodes=budget.validation_episodes, patience=0
            ),
        )

    def frozen(self) -> ProtoNet:
        """The same layers without training, with the mean over frames."""
        backbone = load_backbone(self.backbone, LAYERS)
        return ProtoNet(backbone, identity_head(backbone.width)).eval()

    def frozen_embedder(self) -> Embedder:
        """The untrained network as an embedder."""
        weights = sorted(path for path in self.backbone.iterdir() if path.suffix in (".json", ".safetensors"))
        key = "".join(sha256_of(path)[:8] for path in weights)
        return Embedder("frozen", "checkpoint", f"{LAYERS}{key}", partial(embed_by, self.frozen()))

    def evaluate(self, embedder: Embedder, spec: Spec) -> Evaluation:
        """Evaluate a network on the episodes of a figure."""
        rows, sampler = sampler_of(self.utterances, spec)
        embedded = embed_clips(embedder, [self.utterances[row] for row in rows], cache=self.folder / "embeddings")
        assert not embedded.problems
        return evaluate(embedded, sampler, self.budget.test_episodes)


def open_trained(checkpoint: Path) -> tuple[ProtoNet, Embedder]:
    """A trained network, in both forms."""
    return load_checkpoint(checkpoint)[0].eval(), open_embedder(checkpoint)


class Kept:
    """Results by name in a JSON file, which is written after each result."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def get(self, name: str, work: Callable[[], Any]) -> Any:
        """A result; computed if it is missing."""
        if name not in self._found:
            self.put(name, work())
        return self._found[name]

    def put(self, name: str, value: Any) -> None:
        """Store a result, and replace an older one."""
        self._found[name] = value
        replace_file(self._path, json.dumps(self._found).encode())
