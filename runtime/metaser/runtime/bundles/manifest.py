"""The manifest of a bundle, `bundle.json`: typed, checked when it is read, and written in one canonical form."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeAlias, get_args

from metaser.runtime.errors import BundleError, InputError
from metaser.runtime.scoring.calibration import CalibrationPrior
from metaser.runtime.scoring.decision import Calibration
from metaser.runtime.system.strict_json import read_json_text

FORMAT = "metaser-bundle"
VERSION = 1
MAX_WINDOW_SAMPLES = 2**31

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
Role: TypeAlias = Literal[
    "encoder", "tensorrt", "head", "tune", "parameters", "golden", "model_card", "licence", "notice", "external_data"
]
"""What a file of a bundle is."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class FileEntry:
    """One file of a bundle."""

    role: Role
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class BackboneEntry:
    """The encoder a bundle was exported from."""

    family: str
    model_type: str
    source: str
    layers: int
    width: int
    final_norm: bool = False


@dataclass(frozen=True)
class HeadEntry:
    """The pooling head a bundle was exported with."""

    kind: str
    embedding_size: int
    parameters: dict[str, list[int]]
    """Name -> shape of every parameter that `head.onnx` takes as an input."""


@dataclass(frozen=True)
class AudioEntry:
    """How the encoder divides time."""

    sample_rate_hz: int
    hop_samples: int
    receptive_field_samples: int
    max_window_s: float


@dataclass(frozen=True)
class Manifest:
    """Everything `bundle.json` holds; `parity`, `accuracy`, `operators` and `tuning` are reports in free form."""

    name: str
    model_id: str
    """sha256 of the source weights and architecture."""

    graph_id: str
    """sha256 of the graphs and the head."""

    backbone: BackboneEntry
    head: HeadEntry
    audio: AudioEntry
    precision: Precision
    opset: int
    providers: list[str]
    calibration: Calibration
    licence: str
    """SPDX expression of the weights."""

    training_corpora: list[str]
    training_languages: list[str]
    files: dict[str, FileEntry]
    parity: dict[str, Any] = field(default_factory=dict)
    operators: dict[str, Any] = field(default_factory=dict)
    accuracy: dict[str, Any] = field(default_factory=dict)
    tuning: dict[str, Any] = field(default_factory=dict)
    prior: CalibrationPrior | None = None
    """The prior of a profile's calibration; None if it was not measured."""

    equal_graphs: list[str] = field(default_factory=list)
    """Graph ids of earlier exports whose embeddings these graphs reproduce, so that their profiles are accepted."""

    def reproduces(self, graph_id: str) -> bool:
        """Whether these graphs give the embeddings of the graphs with this id."""
        return graph_id == self.graph_id or graph_id in self.equal_graphs

    def to_json(self) -> str:
        """The canonical text: sorted keys, so that equal manifests are equal bytes."""
        document = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read and check the text of `bundle.json`.

        Raises:
            BundleError: it is not a manifest, has a newer version, or a field is missing or of the wrong type.
        """
        try:
            document = read_json_text(text)
        except ValueError as error:
            raise BundleError(f"bundle.json is not JSON ({error}): export the bundle again") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise BundleError(
                "bundle.json does not describe a metaser bundle: give a folder that `metaser export` wrote"
            )
        if document.get("version") != VERSION:
            raise BundleError(
                f"bundle.json has version {document.get('version')} but this metaser reads {VERSION}: update metaser"
            )
        values = {key: value for key, value in document.items() if key not in ("format", "version")}
        try:
            manifest = cls(
                **{
                    **values,
                    "backbone": BackboneEntry(**values["backbone"]),
                    "head": HeadEntry(**values["head"]),
                    "audio": AudioEntry(**values["audio"]),
                    "calibration": Calibration(**values["calibration"]),
                    "prior": CalibrationPrior(**values["prior"]) if values.get("prior") else None,
                    "files": {name: FileEntry(**entry) for name, entry in values["files"].items()},
                }
            )
        except InputError as error:
            raise BundleError(
                f"bundle.json has a calibration that cannot be used ({error}): export the bundle again"
            ) from error
        except (TypeError, KeyError, AttributeError) as error:
            raise BundleError(
                f"bundle.json has a missing or an unknown field ({error}): export the bundle again"
            ) from error
        _check_types(manifest)
        return manifest


def _check_types(manifest: Manifest) -> None:
    parts = (manifest.backbone, manifest.head, manifest.audio, manifest.calibration, *manifest.files.values())
    for part in (manifest, *parts):
        for item in fields(part):  # type: ignore[arg-type] # a tuple of several dataclasses is one of objects
            expected = TYPES[str(item.type).split("[")[0]]
            value = getattr(part, item.name)
            if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
                raise BundleError(f"bundle.json has {item.name} = {value!r}, not {item.type}: export the bundle again")
            if isinstance(value, list) and not all(isinstance(element, str) for element in value):
                raise BundleError(
                    f"bundle.json has {item.name} = {value!r}, not a list of text: export the bundle again"
                )
    if manifest.precision not in PRECISIONS:
        raise BundleError(f"bundle.json names the precision {manifest.precision!r}, not one of {', '.join(PRECISIONS)}")
    audio = manifest.audio
    if min(audio.sample_rate_hz, audio.hop_samples, audio.receptive_field_samples, audio.max_window_s) <= 0:
        raise BundleError("bundle.json has a rate, hop, receptive field or window that is not above zero")
    if not 2 * audio.receptive_field_samples <= audio.max_window_s * audio.sample_rate_hz <= MAX_WINDOW_SAMPLES:
        raise BundleError(f"bundle.json has a window of {audio.max_window_s:g} s, out of range: export it again")
    if manifest.prior is not None and not manifest.prior.is_valid:
        raise BundleError("bundle.json has an invalid prior for calibration: export the bundle again")


TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "Precision": str,
    "Role": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "list": list,
    "dict": dict,
    "BackboneEntry": BackboneEntry,
    "HeadEntry": HeadEntry,
    "AudioEntry": AudioEntry,
    "Calibration": Calibration,
    "CalibrationPrior | None": (CalibrationPrior, type(None)),
}
