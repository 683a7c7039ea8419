"""The teachers of `default`: networks of its size on many choices of corpora, which differ in what they learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from benchmarks.research.unseen.recipe import LANGUAGES, SIX, THREE, Recipe

START = "start"
"""The network that the student starts from; it is a teacher as well."""
REFERENCE = Recipe(corpora=THREE, episodes=700)
"""The recipe of configs/three-corpora.toml."""


@dataclass(frozen=True)
class Teacher:
    """How a teacher is trained."""

    recipe: Recipe
    is_clean: bool = True
    """Whether it hears random crops that are not augmented: such teachers carry over better."""


def teachers() -> dict[str, Teacher]:
    """Every teacher, by name."""
    clean = [Recipe(corpora=(one,), episodes=300) for one in SIX]
    clean += [Recipe(corpora=pair, episodes=500) for pair in combinations(SIX, 2)]
    clean += [Recipe(corpora=triple, episodes=600) for triple in combinations(SIX, 3)]
    clean += [Recipe(corpora=SIX, episodes=1000)]
    for triple in (THREE, ("crema-d", "emodb", "emotiontts")):
        clean += [
            Recipe(corpora=triple, episodes=600, layers=4),
            Recipe(corpora=triple, episodes=600, head="stats"),
            Recipe(corpora=triple, episodes=600, frame_keep_ratio=0.7),
            Recipe(corpora=triple, episodes=600, classification_weight=0.3),
        ]
    clean += [Recipe(corpora=("ravdess", "nemo", "crema-d"), episodes=600, layers=4)]
    augmented = [REFERENCE, Recipe(corpora=SIX, episodes=1000)]
    for triple in (
        ("ravdess", "nemo", "crema-d"), ("crema-d", "emodb", "emotiontts"), ("ravdess", "emovo", "emotiontts")
    ):  # fmt: skip
        augmented += [Recipe(corpora=triple, episodes=600)]
    for pair in (("ravdess", "nemo"), ("crema-d", "emotiontts"), ("crema-d", "emovo")):
        augmented += [Recipe(corpora=pair, episodes=500)]
    every = [Teacher(recipe) for recipe in clean] + [Teacher(recipe, is_clean=False) for recipe in augmented]
    return {_name(teacher): teacher for teacher in every}


def _name(teacher: Teacher) -> str:
    recipe, usual = teacher.recipe, Recipe()
    changed = [
        f"{field}={getattr(recipe, field)}"
        for field in ("layers", "head", "frame_keep_ratio", "classification_weight")
        if getattr(recipe, field) != getattr(usual, field)
    ]
    return " ".join(["+".join(recipe.corpora), *changed, *([] if teacher.is_clean else ["augmented"])])


def without(language: str) -> dict[str, Teacher]:
    """The teachers that never heard a language."""
    return {
        name: teacher
        for name, teacher in teachers().items()
        if not set(teacher.recipe.corpora) & set(LANGUAGES[language])
    }


def equal(names: Mapping[str, Teacher]) -> dict[str, float]:
    """The same weight for every teacher."""
    return dict.fromkeys(names, 1.0)


def for_default(names: Mapping[str, Teacher]) -> dict[str, float]:
    """The weights for `default`: RAVDESS counts double, or it would be worse there for the person who enrols."""
    return {START: 8.0, **{name: 2.0 if "ravdess" in one.recipe.corpora else 1.0 for name, one in names.items()}}
