"""From a support set, a folder a class or arrays by label, to a profile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from metaser.runtime.arrays import Waveform
from metaser.runtime.audio import check_array, load_audio
from metaser.runtime.bundle import sha256_of
from metaser.runtime.errors import AudioError, NotFoundError, SupportError
from metaser.runtime.profile import Clip

Support: TypeAlias = "str | Path | Mapping[str, Iterable[npt.ArrayLike]]"
Progress: TypeAlias = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""

AUDIO_SUFFIXES = frozenset(f".{name.lower()}" for name in soundfile.available_formats() if name != "RAW") | {
    ".aif", ".aifc", ".mp3", ".oga", ".opus", ".snd",
}  # fmt: skip
UNREADABLE_SUFFIXES = frozenset({
    ".3gp", ".aac", ".amr", ".m4a", ".m4b", ".mkv", ".mov", ".mp4", ".raw", ".webm", ".wma",
})  # fmt: skip


@dataclass(frozen=True)
class SupportClip:
    """A clip of a support set, not yet decoded where it is a file."""

    clip: Clip
    samples: Waveform | None = None
    """Of an array, checked; None for a file."""

    def waveform(self) -> Waveform:
        """Float32 [T] at 16 kHz, checked."""
        return load_audio(self.clip.path) if self.samples is None else self.samples


def read_support(support: Support, *, min_classes: int = 2) -> list[SupportClip]:
    """List the clips of a support set, sorted by label and content; the same recording twice in a class counts once.

    Raises:
        NotFoundError: there is no such folder.
        SupportError: fewer classes than `min_classes`, a class without clips, or one recording in two classes.
        AudioError: a class holds a file in a format that cannot be read.
    """
    clips = (
        _from_arrays(support, min_classes) if isinstance(support, Mapping) else _from_folder(Path(support), min_classes)
    )
    unique: dict[str, SupportClip] = {}
    for clip in clips:
        twin = unique.setdefault(clip.clip.sha256, clip)
        if twin.clip.label != clip.clip.label:
            raise SupportError(
                f"the same recording is in two classes ({twin.clip.label}/{twin.clip.name}, "
                f"{clip.clip.label}/{clip.clip.name}): keep it in one"
            )
        if twin is not clip:
            copies = (*twin.clip.copies, clip.clip.title)
            unique[clip.clip.sha256] = replace(twin, clip=replace(twin.clip, copies=copies))
    return sorted(unique.values(), key=lambda clip: clip.clip)


def read_others(folder: str | Path) -> list[SupportClip]:
    """List the clips of a folder of other speech and noise, at any depth, without labels.

    Raises:
        NotFoundError: there is no such folder.
        SupportError: it has no audio files.
        AudioError: it holds a file in a format that cannot be read.
    """
    folder = Path(folder)
    unique = {clip.clip.sha256: clip for clip in _clips_in(folder, label="")}
    if not unique:
        raise SupportError(f"{folder} has no audio files: put other speech and noise in it")
    return sorted(unique.values(), key=lambda clip: clip.clip)


def _from_folder(folder: Path, min_classes: int) -> list[SupportClip]:
    if not folder.is_dir():
        raise NotFoundError(f"no such folder: {folder}")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes and audio_files(folder):
        raise SupportError(f"{folder} holds clips and no folders: give the folder above it, with one for each class")
    _check_classes(
        [path.name for path in classes],
        f"{folder} has {{}}: put clips in {folder}/LABEL/, a folder for each class",
        min_classes,
    )
    clips = []
    for path in classes:
        own = _clips_in(path, path.name)
        if not own:
            raise SupportError(f"class {path.name} has no audio files: add clips to {path}, or remove the folder")
        clips += own
    return clips


def audio_files(folder: Path) -> list[Path]:
    """The audio files below a folder, sorted, hidden ones left out.

    Raises:
        NotFoundError: there is no such folder.
        AudioError: it holds a recording in a format that cannot be read.
    """
    if not folder.is_dir():
        raise NotFoundError(f"no such folder: {folder}")
    files = sorted(
        path for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )  # fmt: skip
    if refused := [path.name for path in files if path.suffix.lower() in UNREADABLE_SUFFIXES]:
        raise AudioError(
            f"{folder.name}/{refused[0]} is in a format that cannot be read: "
            f"convert it (ffmpeg -i {refused[0]} clip.wav)"
        )
    return [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES]


def _clips_in(folder: Path, label: str) -> list[SupportClip]:
    return [
        SupportClip(
            Clip(
                label=label,
                sha256=sha256_of(path),
                name=path.name,
                path=str(path.resolve()),
                group=path.parent.relative_to(folder).as_posix().removeprefix("."),
            )
        )
        for path in audio_files(folder)
    ]


def _from_arrays(arrays: Mapping[str, Iterable[npt.ArrayLike]], min_classes: int) -> list[SupportClip]:
    _check_classes(list(arrays), "the support set has {}: give {{label: [waveforms]}}", min_classes)
    clips = []
    for label, waveforms in arrays.items():
        listed = [np.asarray(waveform) for waveform in waveforms]
        if not listed:
            raise SupportError(f"class {label} has no clips: add clips or leave the class out")
        for index, waveform in enumerate(listed):
            name = f"array {index}"
            samples = check_array(waveform, f"{label}/{name}")
            digest = hashlib.sha256(samples.tobytes()).hexdigest()
            clips.append(SupportClip(Clip(label=label, sha256=digest, name=name, path=""), samples))
    return clips


def _check_classes(labels: list[str], advice: str, min_classes: int) -> None:
    if not labels:
        raise SupportError(advice.format("no classes"))
    if len(labels) < min_classes:
        raise SupportError(advice.format(f"one class ({labels[0]}) and at least two are needed"))
