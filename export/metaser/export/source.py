"""The model to export: a checkpoint, or an untrained backbone from a folder or the hub with an identity head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaser.runtime.errors import InputError
from metaser.runtime.scoring.decision import Calibration
from metaser.runtime.system.strict_json import finite
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.checkpoint import DESCRIPTION_FILE, load_checkpoint
from metaser.toolkit.model.network import ProtoNet, identity_head

DEFAULT_MODEL = "facebook/wav2vec2-xls-r-300m"
UNKNOWN_LICENCE = "LicenseRef-unknown"


@dataclass(frozen=True)
class Source:
    """A network, and its origin as the bundle documents it."""

    network: ProtoNet
    name: str
    licence: str
    licence_text: str
    notice_text: str = ""
    """Licence text that must be passed on with the weights."""

    card_text: str = ""
    """A hand-written card of a checkpoint; it replaces the generated one."""

    corpora: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    calibration: Calibration | None = None


def default_model(runs: Path) -> str:
    """The newest checkpoint under `runs`, else XLS-R 300M on the hub."""
    checkpoints = sorted(runs.rglob(DESCRIPTION_FILE), key=lambda path: (path.stat().st_mtime, str(path)))
    return str(checkpoints[-1].parent) if checkpoints else DEFAULT_MODEL


def open_source(model: str, layers: int | None, licence: str | None) -> Source:
    """Load the model named `model`; `licence` (SPDX) overrides the licence that the model states.

    Raises:
        MetaserError: it does not exist, cannot be reached or is not a model; the message names the cause.
    """
    folder = Path(model)
    licence_text, notice_text = _text(folder / "LICENSE"), _text(folder / "NOTICE")
    if (folder / DESCRIPTION_FILE).is_file():
        network, metadata = load_checkpoint(folder, layers)
        values = metadata.calibration or {}
        return Source(
            network,
            name=metadata.source,
            licence=licence or metadata.licence,
            licence_text=licence_text,
            notice_text=notice_text,
            card_text=_text(folder / "MODEL_CARD.md"),
            corpora=metadata.corpora,
            languages=metadata.languages,
            calibration=_calibration(values, folder) if values else None,
        )
    backbone = load_backbone(model, layers)
    name = folder.resolve().name if folder.is_dir() else model
    return Source(
        ProtoNet(backbone, identity_head(backbone.width)).eval(),
        name=name,
        licence=licence or UNKNOWN_LICENCE,
        licence_text=licence_text,
        notice_text=notice_text,
    )


def _calibration(values: Mapping[str, Any], folder: Path) -> Calibration:
    try:
        return Calibration(**{name: finite(value) for name, value in values.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"the calibration in {folder / DESCRIPTION_FILE} is damaged: {error}") from error


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
