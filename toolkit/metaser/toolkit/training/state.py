"""The state of a run between two steps, in one file that is replaced atomically; resuming is bit-exact on a CPU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from metaser.runtime.errors import InputError, WorkError
from metaser.runtime.system.files import SHARED, replacing
from metaser.toolkit.config import Config
from metaser.toolkit.model.pickles import load_pickle

STATE_FILE = "state.pt"
FORMAT = "metaser-training"
VERSION = 1

MAY_DIFFER = frozenset(
    {
        "out", "device", "workers", "threads", "save_every", "data.corpora", "data.manifests", "data.cache",
        "data.strict", "validation.patience", "validation.batch_clips", "model.licence",
    }
)  # fmt: skip
"""Settings that may differ in a resumed run; the clips themselves are compared by their fingerprint."""


@dataclass
class Progress:
    """Progress of a run."""

    step: int = 0
    """Finished steps."""
    best: float = -1.0
    """The best validation accuracy; below 0 before the first validation."""
    best_step: int = 0
    since_best: int = 0
    """Validations since."""

    def update(self, values: Mapping[str, Any]) -> None:
        """Restore saved values.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or not a number.
        """
        self.step, self.best_step = int(values["step"]), int(values["best_step"])
        self.since_best, self.best = int(values["since_best"]), float(values["best"])


def save_state(config: Config, fingerprint: str, progress: Progress, parts: Mapping[str, Any]) -> None:
    """Write the state dicts of `parts` (network, optimiser and so on), the settings and the fingerprint of the clips.

    Raises:
        InputError: the state's path is not a regular file.
        WorkError: they cannot be written; the old state stays complete.
    """
    path = config.out / STATE_FILE
    content = {
        "format": FORMAT,
        "version": VERSION,
        "settings": json.dumps(config.plain()),
        "fingerprint": fingerprint,
        "progress": vars(progress),
        "parts": {name: part.state_dict() for name, part in parts.items()},
    }
    try:
        with replacing(path, mode=SHARED) as file:
            torch.save(content, file)
    except WorkError:
        raise
    except RuntimeError as error:  # of torch's writer
        raise WorkError(f"cannot write {path}: {error}") from error


def load_state(config: Config, fingerprint: str, parts: Mapping[str, Any], progress: Progress) -> None:
    """Restore `parts` and `progress` from the state in a run's folder; without a state nothing changes.

    Raises:
        InputError: the state is damaged, or belongs to other settings or clips.
    """
    path = config.out / STATE_FILE
    if not path.exists():
        return
    content = load_pickle(path, "a training state")
    if [str(content.get(name)) for name in ("format", "version")] != [FORMAT, str(VERSION)]:
        raise InputError(f"{path} is not a training state of version {VERSION}")
    try:
        _fill(content, config, fingerprint, parts, progress)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged or not a training state: {error!r}") from error


def _fill(
    content: Mapping[str, Any], config: Config, fingerprint: str, parts: Mapping[str, Any], progress: Progress
) -> None:
    path = config.out / STATE_FILE
    differing = [
        f"{name} was {before!r} and is {now!r}"
        for name, (before, now) in _differences(json.loads(content["settings"]), config.plain()).items()
        if name not in MAY_DIFFER
    ]
    if differing:
        raise InputError(f"{path} is of other settings: {'; '.join(differing)}. Restore them, or choose another out")
    if content["fingerprint"] != fingerprint:
        raise InputError(f"{path} is of other clips: the corpora have changed. Restore them, or choose another out")
    for name, part in parts.items():
        part.load_state_dict(content["parts"][name])
    progress.update(content["progress"])


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """`section.key` to both values, for those that differ."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in sorted(before.keys() | now.keys()):
        one, other = before.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= _differences(one, other, f"{prefix}{name}.")
        elif one != other:
            found[prefix + name] = (one, other)
    return found
