"""A checkpoint: a folder with a whole network and the metadata to use it.

checkpoint.json      format, version, backbone and head, source, licence, corpora, languages, calibration
model.safetensors    the weights, `backbone.*` and `head.*`, stored as float32 or float16
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from metaser.runtime.errors import InputError, NotFoundError, WorkError
from metaser.runtime.system.files import SHARED, replace_text, replacing
from metaser.runtime.system.folders import replacing_folder
from metaser.toolkit.model.backbone import build_backbone
from metaser.toolkit.model.network import ProtoNet, make_head
from metaser.toolkit.model.weights import fill, read_file, read_json

FORMAT = "metaser-checkpoint"
VERSION = 1
DESCRIPTION_FILE = "checkpoint.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class CheckpointMetadata:
    """Metadata of a checkpoint."""

    source: str
    """The pre-trained encoder of the network: a hub id or a name, never a path."""
    licence: str
    """The licence of the weights."""
    corpora: tuple[str, ...] = ()
    """The corpora it was trained on."""
    languages: tuple[str, ...] = ()
    """The languages of those corpora."""
    calibration: Mapping[str, Any] | None = None
    """Measured defaults for tuning and calibration, if any."""


def save_checkpoint(
    folder: str | Path, model: ProtoNet, metadata: CheckpointMetadata, dtype: torch.dtype = torch.float32
) -> None:
    """Write a checkpoint, or replace one.

    Everything is written next to `folder`, flushed, and renamed: a crash leaves the old checkpoint complete, at worst
    under the name `.FOLDER.old`.

    Raises
    ------
    InputError
        `folder` exists and is not a checkpoint, or `dtype` is neither float32 nor float16
    WorkError
        it cannot be written
    """
    folder = Path(folder)
    if dtype not in (torch.float32, torch.float16):
        raise InputError(f"a checkpoint stores float32 or float16, not {dtype}")
    if folder.exists() and not (folder / DESCRIPTION_FILE).exists():
        raise InputError(f"{folder} exists and is not a checkpoint; choose another folder or remove it")
    description = {
        "format": FORMAT,
        "version": VERSION,
        "backbone": model.backbone.description(),
        "head": {"kind": model.head.kind, "width": model.head.width, "embedding_size": model.head.embedding_size},
        **asdict(metadata),
    }
    tensors = {name: tensor.detach().to("cpu") for name, tensor in model.state_dict().items()}
    tensors = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    text = f"{json.dumps(description, indent=2, ensure_ascii=False)}\n"
    try:
        with replacing_folder(folder, f"the checkpoint {folder}") as new:
            replace_text(new / DESCRIPTION_FILE, text, mode=SHARED)
            with replacing(new / WEIGHTS_FILE, mode=SHARED) as file:
                save_file({name: t.contiguous() for name, t in tensors.items()}, file.name)
    except SafetensorError as error:
        raise WorkError(f"cannot write the checkpoint {folder}: {error}") from error


def load_checkpoint(folder: str | Path, layers: int | None = None) -> tuple[ProtoNet, CheckpointMetadata]:
    """Read a checkpoint: the network in eval mode, in float32, and its metadata.

    Raises
    ------
    NotFoundError
        no such folder
    InputError
        not a checkpoint, of a newer version, damaged, or with a number of layers other than `layers`
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotFoundError(f"no folder {folder}")
    if not (folder / DESCRIPTION_FILE).exists():
        raise InputError(f"{folder} is not a checkpoint: it has no {DESCRIPTION_FILE}")
    description = read_json(folder / DESCRIPTION_FILE)
    if description.get("format") != FORMAT:
        raise InputError(f"{folder} is not a checkpoint: its format is {description.get('format')!r}")
    if description.get("version") != VERSION:
        found = description.get("version")
        raise InputError(f"{folder} has version {found!r}; this metaser reads version {VERSION}: update metaser")
    try:
        backbone = build_backbone(description["backbone"])
        head = make_head(**description["head"])
        metadata = read_metadata(description)
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / DESCRIPTION_FILE} is not complete or not valid: {error!r}") from error
    if layers not in (None, backbone.layers):
        raise InputError(f"{folder} has {backbone.layers} layers, as it was trained; it cannot be used with {layers}")
    model = ProtoNet(backbone, head).eval()
    fill(model, read_file(folder / WEIGHTS_FILE), str(folder))
    return model, metadata


def read_metadata(description: Mapping[str, Any]) -> CheckpointMetadata:
    """The metadata in a checkpoint's description."""
    return CheckpointMetadata(
        source=description["source"],
        licence=description["licence"],
        corpora=tuple(description["corpora"]),
        languages=tuple(description["languages"]),
        calibration=description["calibration"],
    )
