"""Reading a support set, one folder per class or arrays by label: its clips and its skipped files."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

import numpy.typing as npt

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.load import LoadedAudio, read_array, read_audio
from metaser.runtime.audio.recordings import (
    IN_ITSELF,
    Found,
    LeftOut,
    cannot_be_read,
    fault_of,
    find_recordings,
    holds,
    is_junk,
    why_none,
)
from metaser.runtime.audio.samples import check_rate
from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.enrolment.clip import LISTED, Clip, array_name
from metaser.runtime.enrolment.labels import check_label, tidy
from metaser.runtime.errors import InputError, SupportError
from metaser.runtime.system.command_line import command_line
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.os_errors import not_found
from metaser.runtime.words import kind_of, listed

Support: TypeAlias = "str | Path | Mapping[str, Iterable[npt.ArrayLike]]"
Command: TypeAlias = Literal["enroll", "add", "test"]
COMMANDS: dict[Command, tuple[str, str]] = {
    "enroll": ("enroll", "enroll --add"),
    "add": ("enroll --add", "enroll --add"),
    "test": ("test", "test"),
}
"""What the clips are for -> the command for one folder of classes, and the command for the next one."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""


@dataclass(frozen=True, eq=False)
class SupportClip:
    """A clip of a support set; a file is not yet decoded."""

    clip: Clip
    array: LoadedAudio | None = None
    """The clip, if it was given as an array; None for a file."""

    def load(self) -> LoadedAudio:
        """The clip, checked, and the notices from reading its file.

        Raises:
            NotFoundError, AudioError: as `read_audio`.
        """
        return read_audio(self.clip.path) if self.array is None else self.array


@dataclass(frozen=True)
class SupportSet:
    """The clips of a support set, and everything else that was found in it."""

    clips: tuple[SupportClip, ...]
    """Sorted by label and content; a recording that is twice in a class counts once."""

    left_out: tuple[LeftOut, ...] = ()
    """Files and folders that are not clips or cannot be opened."""

    notices: tuple[str, ...] = ()
    """Sentences about merged labels."""


def read_support(
    support: Support,
    *,
    groups: bool = False,
    command: Command = "enroll",
    enrolled: Sequence[str] = (),
    sample_rate_hz: int = SAMPLE_RATE_HZ,
) -> SupportSet:
    """List the clips of a support set, `support/<label>/clips` or {label: [waveforms]}; files are not decoded yet.

    Labels are in Unicode's form NFC without surrounding white space; labels that are then equal are one class.

    Parameters:
        groups: folders inside class folders group clips of one class, even if they look like classes.
        command: what the clips are for: enrolment needs two classes, and advice names the command.
        enrolled: the classes of the profile that they are for.

    Raises:
        NotFoundError: there is no such folder.
        InputError: the sample rate is not a whole number above 0, or was given for a folder.
        SupportError: neither a folder nor {label: [waveforms]}, too few classes, a class without clips or with an
            invalid label, a folder that cannot be read, one recording in two classes, or folders inside
            class folders that look like classes.
        AudioError: an array is not a clip.
    """
    rate_hz = check_rate(sample_rate_hz)
    min_classes = 2 if command == "enroll" else 1
    if isinstance(support, Mapping):
        found = _from_arrays(support, min_classes, rate_hz)
    else:
        folder = given_path(
            support, "the support set", SupportError, "a folder of LABEL/clips, or {label: [waveforms]}"
        )
        if rate_hz != SAMPLE_RATE_HZ:
            raise InputError(f"sample_rate_hz={rate_hz} with a folder, whose files state their own rate: leave it out")
        found = _from_folder(folder)
        if not groups:
            _check_depth(folder, found.clips, command)
            _check_names(folder, found.clips, enrolled)
            found = replace(found, notices=(*found.notices, *_deeper(folder, found.clips)))
        advice = f"{folder} has {{}}: put clips in {folder}/LABEL/, a folder for each class"
        _check_classes(sorted({clip.clip.label for clip in found.clips}), advice, min_classes)
    unique: dict[str, SupportClip] = {}
    for clip in found.clips:
        twin = unique.setdefault(clip.clip.sha256, clip)
        if twin.clip.label != clip.clip.label:
            raise SupportError(
                f"the same recording is in two classes ({twin.clip.label}/{twin.clip.name}, "
                f"{clip.clip.label}/{clip.clip.name}): keep it in one"
            )
        if twin is not clip:
            copies = (*twin.clip.copies, clip.clip.title)
            unique[clip.clip.sha256] = replace(twin, clip=replace(twin.clip, copies=copies))
    return replace(found, clips=tuple(sorted(unique.values(), key=lambda clip: clip.clip)))


def read_others(folder: str | Path) -> SupportSet:
    """List the clips of a folder of other speech and noise, at any depth, without labels.

    Raises:
        NotFoundError: there is no such folder.
        SupportError: it cannot be read, or has no audio files.
    """
    folder = given_path(folder, "the folder of other speech", SupportError)
    _entries(folder)
    clips, left_out = _clips_in(folder, label="")
    unique = {clip.clip.sha256: clip for clip in clips}
    if not unique:
        raise SupportError(f"{folder} {why_none(left_out)}: put other speech and noise in it")
    return SupportSet(tuple(sorted(unique.values(), key=lambda clip: clip.clip)), tuple(left_out))


def _from_folder(folder: Path) -> SupportSet:
    folders, other = _class_folders(folder)
    if not folders and other.recordings:
        raise SupportError(f"{folder} holds clips but no folders: give the folder above it, with one folder per class")
    clips: list[SupportClip] = []
    left_out = [*other.left_out, *(LeftOut(path, "is not in a class folder") for path in other.recordings)]
    for label, paths in folders.items():
        own: list[SupportClip] = []
        faults: list[LeftOut] = []
        for path in paths:
            found, unused = _clips_in(path, label)
            own, faults = own + found, faults + unused
        if not own:
            raise SupportError(f"class {label} {why_none(faults)}: add clips to {paths[0]}, or remove the folder")
        clips += own
        left_out += faults
    merged = _merged({label: len(paths) for label, paths in folders.items()}, "folders")
    return SupportSet(tuple(clips), tuple(left_out), merged)


def _deeper(folder: Path, clips: Sequence[SupportClip]) -> list[str]:
    """A sentence about folders inside class folders, which may have been meant as the classes."""
    names = {clip.clip.group.partition("/")[0] for clip in clips if clip.clip.group}
    if not names:
        return []
    labels = sorted({clip.clip.label for clip in clips})
    return [
        f"the labels are the folders in {folder}: {listed(labels, LISTED)}; "
        f"{'the folder inside them' if len(names) == 1 else 'the folders inside them'} "
        f"({listed(sorted(names), LISTED)}) only {'groups' if len(names) == 1 else 'group'} clips of one class"
    ]


def _check_depth(folder: Path, clips: Sequence[SupportClip], command: Command) -> None:
    """Raise SupportError if the classes seem to be one or more levels deeper, as in `session1/joy/1.wav`.

    They do if a class folder has no clips of its own but two or more folders of clips, or if no class folder has clips
    of its own and the folders inside have two or more names.
    """
    inside: defaultdict[str, set[PurePosixPath]] = defaultdict(set)  # label -> folders in it with clips
    for clip in clips:
        inside[clip.clip.label].add(PurePosixPath(clip.clip.group))
    deep = {label: groups for label, groups in inside.items() if PurePosixPath() not in groups}
    innermost = {label: {group.name for group in groups} for label, groups in deep.items()}
    names = sorted(set().union(*innermost.values()))
    if len(names) < 2 or (len(deep) < len(inside) and max(map(len, innermost.values())) < 2):
        return
    above = sorted({folder / label / group.parent for label, groups in deep.items() for group in groups})
    first, *others = (shlex.quote(str(each)) for each in above)
    one, next_one = COMMANDS[command]
    then = f", then `{command_line(f'{next_one} {others[0]}')}`" if others else ""
    raise SupportError(
        f"{listed(sorted(deep), LISTED)} in {folder} only {'hold' if others else 'holds'} folders of clips "
        f"({listed(names, LISTED)}). If those are the classes: `{command_line(f'{one} {first}')}`{then}. "
        "If they only group clips of one class: --groups"
    )


def _check_names(folder: Path, clips: Sequence[SupportClip], enrolled: Sequence[str]) -> None:
    """Raise SupportError if a folder inside a class folder is called like another class, as in `joy/anger/1.wav`."""
    labels = {label.casefold(): label for label in (*enrolled, *(clip.clip.label for clip in clips))}
    for clip in clips:
        for part in PurePosixPath(clip.clip.group).parts:
            other = labels.get(tidy(part).casefold())
            if other and other != clip.clip.label:
                raise SupportError(
                    f"{folder / clip.clip.label / clip.clip.group} is called like the class {other}: move its clips to "
                    f"that class, or give --groups if they are clips of {clip.clip.label}"
                )


def _class_folders(folder: Path) -> tuple[dict[str, list[Path]], Found]:
    """The folders of each class by label, and the other content of the support folder."""
    folders: defaultdict[str, list[Path]] = defaultdict(list)
    recordings: list[Path] = []
    left_out: list[LeftOut] = []
    for path in _entries(folder):
        if os.path.isdir(path):  # noqa: PTH112 # Path.is_dir raises if the rights do not allow to look
            if holds(path, folder):
                left_out.append(LeftOut(path, IN_ITSELF))
            else:
                folders[check_label(path.name)].append(path)
        elif fault := fault_of(path):
            left_out.append(fault)
        else:
            recordings.append(path)
    return dict(sorted(folders.items())), Found(tuple(recordings), tuple(left_out))


def _entries(folder: Path) -> list[Path]:
    """The content of a folder, sorted, without hidden files and files of operating systems.

    Raises:
        NotFoundError: there is no such folder.
        SupportError: it cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not is_junk(path.name))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise not_found(folder, "folder") from error
    except OSError as error:
        raise SupportError(f"{folder} {cannot_be_read(error)}: give a folder that you may read") from error


def hash_recordings(folder: Path) -> tuple[dict[Path, str], list[LeftOut]]:
    """The sha256 of each recording below a folder, sorted by path, and the skipped files."""
    found = find_recordings(folder)
    digests: dict[Path, str] = {}
    left_out = list(found.left_out)
    for path in found.recordings:
        try:
            digest = sha256_of(path)
        except OSError as error:
            left_out.append(LeftOut(path, cannot_be_read(error)))
            continue
        digests[path] = digest
    return digests, left_out


def _clips_in(folder: Path, label: str) -> tuple[list[SupportClip], list[LeftOut]]:
    digests, left_out = hash_recordings(folder)
    clips = []
    for path, digest in digests.items():
        clip = Clip(
            label=label,
            sha256=digest,
            name=path.name,
            path=str(path.resolve()),
            group=path.parent.relative_to(folder).as_posix().removeprefix("."),
        )
        clips.append(SupportClip(clip))
    return clips, left_out


def _merged(counts: Mapping[str, int], what: str) -> tuple[str, ...]:
    """One sentence per label that several folders or keys have."""
    return tuple(
        f"{count} {what} are one class, {label}: their names differ only in surrounding spaces or in Unicode's form"
        for label, count in counts.items()
        if count > 1
    )


def _from_arrays(arrays: Mapping[str, Iterable[npt.ArrayLike]], min_classes: int, rate_hz: int) -> SupportSet:
    listed: dict[str, list[npt.ArrayLike]] = {}
    keys: defaultdict[str, int] = defaultdict(int)
    for key, waveforms in arrays.items():
        label = check_label(key)
        listed.setdefault(label, []).extend(_waveforms(label, waveforms))
        keys[label] += 1
    _check_classes(list(listed), "the support set has {}: give {{label: [waveforms]}}", min_classes)
    clips = []
    for label, waveforms in listed.items():
        if not waveforms:
            raise SupportError(f"class {label} has no clips: add clips or leave the class out")
        for index, waveform in enumerate(waveforms):
            name = array_name(index)
            array = read_array(waveform, f"{label}/{name}", rate_hz)
            digest = hashlib.sha256(array.waveform.tobytes()).hexdigest()
            clips.append(SupportClip(Clip(label=label, sha256=digest, name=name, path=""), array))
    return SupportSet(tuple(clips), notices=_merged(keys, "labels"))


def _waveforms(label: str, given: object) -> list[npt.ArrayLike]:
    """The waveforms of a class; a single waveform is refused."""
    wanted = f"give {{{label!r}: [waveform, ...]}}, float samples [T] or int16 each"
    if isinstance(given, (str, bytes, os.PathLike, Mapping)) or not isinstance(given, Iterable):
        raise SupportError(f"class {label} is {kind_of(given)} and not a list of waveforms: {wanted}")
    listed = list(given)
    if listed and all(isinstance(each, Real) or getattr(each, "ndim", None) == 0 for each in listed):
        raise SupportError(f"class {label} is one waveform and not a list of them: {wanted}")
    return listed


def _check_classes(labels: list[str], advice: str, min_classes: int) -> None:
    if not labels:
        raise SupportError(advice.format("no classes"))
    if len(labels) < min_classes:
        raise SupportError(advice.format(f"one class ({labels[0]}) but at least two are needed"))
