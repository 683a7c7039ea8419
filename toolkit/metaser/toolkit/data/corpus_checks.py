"""Checks of a corpus that its user sorted: copies of a recording, and folders whose names are not labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.enrolment.labels import tidy
from metaser.runtime.errors import InputError
from metaser.runtime.words import listed
from metaser.toolkit.data.corpus_formats import SYNONYMS
from metaser.toolkit.data.utterances import Problem, Utterance

LISTED = 5
"""Names in a sentence."""

PARTS = frozenset({"train", "training", "dev", "val", "valid", "validation", "test", "testing", "eval"})
"""Lower-case names of folders that hold a part of a corpus."""


def without_copies(clips: Sequence[Utterance]) -> tuple[list[Utterance], list[Problem]]:
    """The clips without second files of the same content; a recording with two labels is left out altogether.

    Only files of the same size are read.
    """
    problems: dict[Path, Problem] = {}
    for same_size in _grouped(clips, lambda path: path.stat().st_size):
        if not same_size[0].path.stat().st_size:
            continue  # empty files are reported as such
        for same in _grouped(same_size, sha256_of):
            problems.update({problem.path: problem for problem in _problems(same)})
    return [clip for clip in clips if clip.path not in problems], list(problems.values())


def _grouped(clips: Sequence[Utterance], key_of: Callable[[Path], object]) -> list[list[Utterance]]:
    """The clips whose files have the same key as another; a file that cannot be read is reported elsewhere."""
    groups: defaultdict[object, list[Utterance]] = defaultdict(list)
    for clip in clips:
        with suppress(OSError):
            groups[key_of(clip.path)].append(clip)
    return [group for group in groups.values() if len(group) > 1]


def _problems(same: Sequence[Utterance]) -> list[Problem]:
    labels = sorted({clip.label for clip in same})
    if len(labels) > 1:
        return [Problem(clip.path, f"the same recording is in the classes {' and '.join(labels)}") for clip in same]
    return [Problem(clip.path, f"a copy of {same[0].path}") for clip in same[1:]]


def check_folders(root: Path, clips: Sequence[Path]) -> None:
    """Raise InputError if the folders in `root` are parts of a corpus, or speakers with a folder per label.

    Both would be taken for classes. Speakers are recognised if folders inside them, but none of them, have the name of
    an emotion.
    """
    inside = [path.relative_to(root).parts[:-1] for path in clips]
    first = sorted({tidy(folders[0]) for folders in inside if folders})
    second = sorted({tidy(folders[1]) for folders in inside if len(folders) > 1})
    if parts := [name for name in first if name.lower() in PARTS]:
        raise InputError(
            f"{root} holds {listed(parts, LISTED)}, which are parts of a corpus and not classes: give one of them, "
            f"such as {root / parts[0]}"
        )
    emotions = [name for name in second if name.lower() in SYNONYMS]
    if len(emotions) > 1 and not any(name.lower() in SYNONYMS for name in first):
        raise InputError(
            f"the folders in {root} ({listed(first, LISTED)}) seem to be speakers, and those inside them "
            f"({listed(emotions, LISTED)}) the classes: sort it as LABEL/SPEAKER/clips, or list it in a CSV manifest"
        )
