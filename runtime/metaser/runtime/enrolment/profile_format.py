"""A profile as bytes: one safetensors file whose metadata holds the clips and the calibration as JSON.

The JSON also holds the sha256 of the whole file, computed with zeros in its own place, so that a profile with any other
byte is refused instead of giving other labels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from metaser.runtime.audio.contour import Contour
from metaser.runtime.audio.quality import ClipQuality
from metaser.runtime.enrolment.clip import Clip
from metaser.runtime.enrolment.profile_file import FORMAT, undo_path
from metaser.runtime.errors import ProfileError
from metaser.runtime.scoring.calibration import ExpectedRates
from metaser.runtime.scoring.decision import Calibration
from metaser.runtime.system.command_line import command_line
from metaser.runtime.system.strict_json import finite, read_json_text

if TYPE_CHECKING:
    from metaser.runtime.tuning.tuned_head import TunedHead

VERSION = 3
HASH = "content_sha256"
NO_HASH = "0" * 64
_BEFORE_HASH = json.dumps(f'"{HASH}": "')[1:-1].encode()
"""What is before the hash in the file, where the JSON of the profile is a text in JSON."""

Fields = Mapping[str, Any]
"""The fields of a `Profile` by name."""


def to_bytes(fields: Fields) -> bytes:
    """The file of a profile with these fields."""
    tuned: TunedHead | None = fields["tuned"]
    header = {
        "version": VERSION,
        HASH: NO_HASH,
        **{name: fields[name] for name in ("model_id", "graph_id", "bundle_name")},
        "calibration": asdict(fields["calibration"]),
        "reliability": asdict(fields["reliability"]),
        "clips": [_clip_row(clip) for clip in fields["clips"]],
        "others": [_clip_row(clip) for clip in fields["others"]],
        "tuned": tuned.header() if tuned else None,
    }
    tensors = {
        "embeddings": fields["embeddings"],
        "contours": _joined_contours([*fields["clips"], *fields["others"]]),
        **(tuned.tensors() if tuned else {}),
    }
    if fields["other_embeddings"] is not None:
        tensors["others"] = fields["other_embeddings"]
    return sealed(save(tensors, {FORMAT: json.dumps(header, sort_keys=True)}))


def sealed(content: bytes) -> bytes:
    """The file of a profile with the hash of its content.

    Raises:
        ValueError: it has no place for the hash.
    """
    start, end = _hash_place(content)
    return content[:start] + _hash_of(content) + content[end:]


def _hash_of(content: bytes) -> bytes:
    """The hash of a file whose own hash counts as zeros."""
    start, end = _hash_place(content)
    digest = hashlib.sha256(content[:start])
    digest.update(NO_HASH.encode())
    digest.update(memoryview(content)[end:])
    return digest.hexdigest().encode()


def _hash_place(content: bytes) -> tuple[int, int]:
    header_end = 8 + int.from_bytes(content[:8], "little")
    start = content.index(_BEFORE_HASH, 0, header_end) + len(_BEFORE_HASH)
    return start, start + len(NO_HASH)


def from_bytes(content: bytes, path: Path) -> Fields:
    """The fields that a file's bytes hold; `path` is for messages.

    Raises:
        ProfileError: the bytes are damaged, changed, or have another version.
    """
    try:
        tensors = load(content)
        header = read_json_text(_metadata(content)[FORMAT])
        version = int(header["version"])
        if version == VERSION and header[HASH].encode() != _hash_of(content):
            raise damaged(path)
        fields = _fields(header, tensors) if version == VERSION else {}
    except (
        SafetensorError,
        TypeError,
        AttributeError,
        ValueError,
        LookupError,
        OverflowError,
        RecursionError,
    ) as error:
        raise damaged(path) from error
    if version > VERSION:
        raise ProfileError(f"{path} has version {version} but this metaser reads {VERSION}: update metaser")
    if version < VERSION:
        raise ProfileError(f"{path} has the earlier version {version}: enrol again")
    return fields


def damaged(path: Path) -> ProfileError:
    """The error for a profile that cannot be used."""
    go_back = f", or go back with `{command_line('enroll --undo')}`" if undo_path(path).is_file() else ""
    return ProfileError(f"{path} is damaged or was changed: enrol again{go_back}")


def _fields(header: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> Fields:
    rows = [*header["clips"], *header["others"]]
    contours = _split_contours(tensors["contours"], [int(row["contour_frames"]) for row in rows])
    read = [_read_clip(row, contour) for row, contour in zip(rows, contours, strict=True)]
    clips = tuple(read[: len(header["clips"])])
    return {
        **{name: str(header[name]) for name in ("model_id", "graph_id", "bundle_name")},
        "calibration": Calibration(**{key: finite(value) for key, value in header["calibration"].items()}),
        "clips": clips,
        "embeddings": tensors["embeddings"],
        "reliability": ExpectedRates(**_numbers(header["reliability"])),
        "others": tuple(read[len(clips) :]),
        "other_embeddings": tensors.get("others"),
        "tuned": None if header["tuned"] is None else _read_tuned(header["tuned"], tensors, clips),
    }


def _metadata(content: bytes) -> dict[str, str]:
    """The header's metadata; the library's own reader gives it for paths only."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]


def _read_tuned(header: dict[str, Any], tensors: dict[str, npt.NDArray[Any]], clips: tuple[Clip, ...]) -> TunedHead:
    from metaser.runtime.tuning.tuned_head import TunedHead

    tuned = TunedHead.read(header, tensors)
    if not tuned.is_valid([clip.sha256 for clip in sorted(clips)]):
        raise ValueError("the tuned head does not fit the clips")
    return tuned


def _clip_row(clip: Clip) -> dict[str, Any]:
    """A clip as JSON; its contour is a part of the tensor of all contours."""
    row = asdict(replace(clip, contour=None))
    del row["contour"]
    return {**row, "contour_frames": 0 if clip.contour is None else clip.contour.shape[1]}


def _read_clip(row: Mapping[str, Any], contour: Contour | None) -> Clip:
    quality = row["quality"]
    return Clip(
        **{key: str(row[key]) for key in ("label", "sha256", "name", "path", "group")},
        copies=tuple(str(name) for name in row["copies"]),
        quality=ClipQuality(**{key: finite(value) for key, value in quality.items()}) if quality else None,
        contour=contour,
    )


def _joined_contours(clips: Sequence[Clip]) -> Contour:
    """[4, frames of all clips]"""
    contours = [clip.contour for clip in clips if clip.contour is not None]
    return np.concatenate([np.zeros((4, 0), np.uint8), *contours], axis=1)


def _split_contours(joined: Contour, frames: Sequence[int]) -> list[Contour | None]:
    """The contours of clips with these numbers of frames; None for 0."""
    ends = np.cumsum([0, *frames])
    if min(frames, default=0) < 0 or joined.shape != (4, ends[-1]):
        raise ValueError("the contours do not fit the clips")
    return [joined[:, end - own : end] if own else None for own, end in zip(frames, ends[1:], strict=True)]


def _numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    return {key: None if value is None else finite(value) for key, value in values.items()}
