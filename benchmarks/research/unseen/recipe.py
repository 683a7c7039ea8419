"""The settings that the search varies, and its arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

SIX = ("ravdess", "crema-d", "emodb", "nemo", "emovo", "emotiontts")
THREE = ("ravdess", "emodb", "nemo")
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "English": ("ravdess", "crema-d"),
    "German": ("emodb",),
    "Polish": ("nemo",),
    "Italian": ("emovo",),
    "Korean": ("emotiontts",),
}
"""Language to its corpora, which are left out together."""
FOLDS: Mapping[str, tuple[str, ...]] = {
    "English": ("ravdess", "crema-d"),
    "German, Korean": ("emodb", "emotiontts"),
    "Polish, Italian": ("nemo", "emovo"),
}
"""Corpora left out of one run of an arm, so that three runs measure five unseen languages."""


@dataclass(frozen=True)
class Recipe:
    """A training run. Names are those of `metaser.toolkit.config`, the defaults those of configs/three-corpora.toml."""

    corpora: tuple[str, ...] = SIX
    episodes: int = 1000
    layers: int = 3
    frozen_layers: int = 1
    trained_part: str = ""
    """Only weights of the layers whose name contains it are trained."""
    head: str = "mean-fc"
    """Or `stats`: the mean and the standard deviation of the frames, then a linear layer."""
    embedding_size: int = 256
    whitening_power: float = 0.0625
    backbone_lr: float = 1e-4
    head_lr: float = 3e-4
    layer_decay: float = 0.9
    weight_decay: float = 0.01
    warmup: int = 10
    ema_decay: float = 0.98
    n_way: int = 4
    k_shot: int = 5
    n_query: int = 5
    gradient_accumulation: int = 1
    frame_keep_ratio: float = 0.4
    dropout: float = 0.0
    classification_weight: float = 0.0
    same_speaker: float = 0.0
    """Share of episodes with one speaker."""
    mixed: float = 0.0
    """Share of episodes whose classes are those of all corpora together, so that a class mixes languages."""
    free: float = 0.0
    """Share of episodes whose classes come from any corpus."""
    speakers_power: float = 0.0
    """A corpus is drawn in proportion to its number of speakers to this power."""
    speakers: int = 0
    """At most so many speakers of each corpus train; 0: all."""
    seed: int = 0


HALF = Recipe(backbone_lr=5e-5, head_lr=1.5e-4)
ARMS: Mapping[str, Recipe] = {
    "six corpora": Recipe(),
    "three corpora": Recipe(corpora=THREE),
    "slower average": Recipe(ema_decay=0.995),
    "attention only": Recipe(trained_part="self_attn"),
    "feed-forward only": Recipe(trained_part="fc"),
    "last layer only": Recipe(frozen_layers=2),
    "twice the rates": Recipe(backbone_lr=2e-4, head_lr=6e-4),
    "2000 episodes": Recipe(episodes=2000),
    "4 episodes a step": Recipe(episodes=4000, gradient_accumulation=4),
    "4 episodes a step, twice the rates": Recipe(
        episodes=4000, gradient_accumulation=4, backbone_lr=2e-4, head_lr=6e-4
    ),
    "dropout 0.2": Recipe(dropout=0.2),
    "0.7 of the frames": Recipe(frame_keep_ratio=0.7),
    "root of speakers": Recipe(speakers_power=0.5),
    "one speaker in 0.3": Recipe(same_speaker=0.3),
    "mixed languages in 0.3": Recipe(mixed=0.3),
    "mixed languages in all": Recipe(mixed=1.0),
    "half the rates": HALF,
    "half the rates, three corpora": replace(HALF, corpora=THREE),
    "half the rates, GLU": replace(HALF, head="glu"),
    "half the rates, mean and deviation": replace(HALF, head="stats"),
    "half the rates, label loss": replace(HALF, classification_weight=0.3),
    "half the rates, four layers": replace(HALF, layers=4),
    "half the rates, 0.7 of the frames": replace(HALF, frame_keep_ratio=0.7),
    "half the rates, root of speakers": replace(HALF, speakers_power=0.5),
}


STEP = Recipe(episodes=200)
CREMA_D = replace(STEP, corpora=SIX[1:2])
LADDER: Mapping[str, Recipe] = {
    "CREMA-D, 5 speakers": replace(CREMA_D, speakers=5),
    "CREMA-D, 20 speakers": replace(CREMA_D, speakers=20),
    "CREMA-D, all speakers": CREMA_D,
    "and German": replace(STEP, corpora=SIX[1:3]),
    "and Polish, Italian, Korean, RAVDESS": STEP,
}
"""More and more speakers of one corpus, then more and more languages; nothing is left out of these runs."""


def ladder() -> dict[str, Recipe]:
    """Every step of the ladder, by `step | ladder | seed`."""
    return {f"{name} | ladder | {recipe.seed}": recipe for name, recipe in LADDER.items()}


def runs() -> dict[str, Recipe]:
    """Every arm in every fold, by `arm | fold | seed`."""
    return {
        f"{name} | {fold} | {recipe.seed}": without(recipe, corpora)
        for name, recipe in ARMS.items()
        for fold, corpora in FOLDS.items()
    }


def without(recipe: Recipe, corpora: tuple[str, ...]) -> Recipe:
    """The recipe with corpora left out."""
    return replace(recipe, corpora=tuple(name for name in recipe.corpora if name not in corpora))
