"""Labelled clips before decoding, and their grouping into classes by any column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from metaser.runtime.enrolment.labels import tidy
from metaser.runtime.errors import InputError
from metaser.toolkit.data.corpus_formats import SYNONYMS

Column: TypeAlias = Literal["label", "original_label", "speaker", "language", "corpus"]
"""Columns for the class of an episode: emotions by `label`, persons by `speaker`, accents by a manifest's `label`."""

Indices: TypeAlias = npt.NDArray[np.int64]
"""Positions in a list of utterances."""


@dataclass(frozen=True)
class Utterance:
    """One labelled clip, not decoded."""

    path: Path
    label: str
    """In the shared vocabulary if it has a word for the class."""
    speaker: str
    """Unique within its corpus; empty if unknown."""
    language: str
    """ISO 639-1; empty if unknown."""
    corpus: str
    original_label: str
    """The corpus's own name of the class."""


@dataclass(frozen=True)
class Problem:
    """A file that was found or listed in a manifest and is not used."""

    path: Path
    reason: str
    expected: bool = False
    """A known file of the corpus: a bad file, another part of the corpus, a second copy. It is never fatal."""


@dataclass(frozen=True)
class Corpus:
    """The clips of a corpus or manifest."""

    name: str
    utterances: tuple[Utterance, ...]
    """Sorted by path below the root: the same order on every machine."""
    problems: tuple[Problem, ...]
    is_sorted: bool = False
    """Whether its folders are the labels and speakers, and not the names of a published corpus."""


def classes_by(utterances: Sequence[Utterance], column: Column = "label") -> dict[str, Indices]:
    """Indices of the utterances of each class, one [clips] per class, by class name; an empty value is not a class.

    Raises:
        InputError: there is no such column.
    """
    if column not in get_args(Column):
        raise InputError(f"no column {column!r} can be the class: choose one of {', '.join(get_args(Column))}")
    members: defaultdict[str, list[int]] = defaultdict(list)
    for index, utterance in enumerate(utterances):
        if value := getattr(utterance, column):
            members[value].append(index)
    return {name: np.array(members[name], dtype=np.int64) for name in sorted(members)}


def refuse_problems(problems: Sequence[Problem], found: int, switch: str) -> None:
    """Raise InputError if any problem among `found` files is not expected; `switch` is the option that requires it."""
    fatal = [problem for problem in problems if not problem.expected]
    if fatal:
        raise InputError(
            f"{len(fatal)} of {found} clips cannot be used and {switch} does not allow skipping them; the first is "
            f"{fatal[0].path.name}: {fatal[0].reason}"
        )


def to_vocabulary(label: str) -> str:
    """The shared word for a label, or the normalised label itself if there is none."""
    tidied = tidy(label)
    return SYNONYMS.get(tidied.lower(), tidied)
