"""Pre-trained encoders by name: their first L layers from a folder, from the model hub or from a description."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is of the client that the hub uses
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    StrictDataclassError,
)
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    PreTrainedConfig,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from metaser.runtime.errors import InputError, NotFoundError, WorkError
from metaser.runtime.system.user_folders import cache_folder, expand_home
from metaser.toolkit.model.encoder import Backbone
from metaser.toolkit.model.layer_sum import WeightedSum
from metaser.toolkit.model.other_formats import HUB_LAYOUT, describe_file, describe_folder
from metaser.toolkit.model.preprocessor import EXTRACTOR_FILE, PROCESSOR_FILE, normalizes, read_preprocessor
from metaser.toolkit.model.wav2vec2 import Wav2Vec2Backbone
from metaser.toolkit.model.weights import fill, read_folder, read_json, weight_files
from metaser.toolkit.model.whisper import WhisperBackbone

__all__ = ["ARCHITECTURES", "Backbone", "Wav2Vec2Backbone", "WhisperBackbone", "build_backbone", "load_backbone"]

Architecture: TypeAlias = tuple[
    type[Wav2Vec2Backbone] | type[WhisperBackbone], type[PreTrainedConfig], type[PreTrainedModel]
]

ARCHITECTURES: dict[str, Architecture] = {
    "wav2vec2": (Wav2Vec2Backbone, Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (Wav2Vec2Backbone, HubertConfig, HubertModel),
    "wavlm": (Wav2Vec2Backbone, WavLMConfig, WavLMModel),
    "data2vec-audio": (Wav2Vec2Backbone, Data2VecAudioConfig, Data2VecAudioModel),
    "whisper": (WhisperBackbone, WhisperConfig, WhisperEncoder),
}
"""By `model_type`: metaser's module, transformers' configuration, transformers' modules."""

DESCRIPTIONS = (
    *("config.json", PROCESSOR_FILE, EXTRACTOR_FILE),
    *("adapter_config.json", "hyperparams.yaml", "config.yaml", "configuration.json"),  # files of other model formats
)
LARGEST = 65_536
"""The largest size or count of an architecture: eight times that of the largest existing encoders."""

MOST_LAYERS = 256
"""Five times the depth of the deepest existing encoder."""

NOT_VALID = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
    StrictDataclassError,
)  # fmt: skip
"""Exceptions of transformers and torch for invalid configurations."""

PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def load_backbone(source: str | Path, layers: int | None = None) -> Backbone:
    """The first `layers` layers (default: all) of a pre-trained encoder, in eval mode, weights in float32.

    Parameters
    ----------
    source : a folder in the hub's layout or a hub id: config.json, preprocessor_config.json or processor_config.json,
        and model.safetensors or pytorch_model.bin, whole or in shards
    layers : 1 to the encoder's depth

    Raises
    ------
    NotFoundError
        no such folder, no such model on the hub, or no weights in it
    InputError
        an unknown architecture, layers out of range, weights that do not fit, a model of another format
    WorkError
        the hub cannot be reached
    """
    folder = find_folder(source)
    if what := describe_folder(folder):
        raise InputError(f"{source} is {what}")
    if not (folder / "config.json").exists():
        raise NotFoundError(f"no config.json in {source}: give {HUB_LAYOUT}")
    config = read_json(folder / "config.json")
    if "model_type" not in config:
        raise InputError(f"config.json of {source} has no model_type: add the type of the model, for example wav2vec2")
    settings = read_preprocessor(folder)
    backbone_class, config_class, _ = architecture(config.get("model_type"))
    depth = config.get(backbone_class.depth_field, getattr(config_class(), backbone_class.depth_field))
    layers = depth if layers is None else layers
    if not 1 <= layers <= depth:
        raise InputError(f"{source} has {depth} layers: choose 1 to {depth}, not {layers}")
    backbone = build_backbone(
        {
            "model_type": config["model_type"],
            "layers": layers,
            "do_normalize": backbone_class is Wav2Vec2Backbone and normalizes(settings),
            "config": {name: config[name] for name in backbone_class.described_fields if name in config},
        }
    )
    fill(backbone, read_folder(folder, backbone.state_dict()), str(source))
    return backbone


def build_backbone(description: Mapping[str, Any]) -> Backbone:
    """Build the backbone of a `Backbone.description()`, in eval mode; its weights are undefined until loaded."""
    try:
        backbone_class, config_class, model_class = architecture(description["model_type"])
        settings = {**description["config"], backbone_class.depth_field: description["layers"]}
        _check_sizes(settings)
        config = config_class(**settings)
        with torch.device("meta"):  # neither memory nor time for a random initialisation
            model = model_class(config)
        backbone = backbone_class(model.to_empty(device="cpu"), description["do_normalize"])
        if description.get("weighted_sum"):
            backbone.layer_sum = WeightedSum(backbone.layers)
        return backbone.eval()
    except InputError:
        raise
    except NOT_VALID as error:
        raise InputError(f"the backbone's description is not complete or not valid: {error!r}") from error


def _check_sizes(settings: Mapping[str, Any]) -> None:
    """Raise InputError for a size or a count that no encoder has, before any memory is allocated."""
    for name, value in settings.items():
        numbers = value if isinstance(value, list | tuple) else (value,)
        if name.endswith("dropout"):
            if not 0 <= value <= 1:
                raise InputError(f"the backbone's {name} is {value} and must be from 0 to 1")
            continue
        for number in numbers:
            most = MOST_LAYERS if name.endswith("layers") else LARGEST
            if type(number) is int and not 1 <= number <= most:
                raise InputError(f"the backbone's {name} is {value} and must be from 1 to {most}")


def architecture(model_type: object) -> Architecture:
    """The classes of an architecture; the error for an unknown one lists the known ones."""
    if model_type not in ARCHITECTURES:
        raise InputError(f"the architecture {model_type!r} is not known; known are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[str(model_type)]


def find_folder(source: str | Path) -> Path:
    """The folder `source`, or the local copy of the hub model of that name."""
    path = expand_home(source)
    if path.is_dir():
        return path
    if path.exists():
        what = describe_file(path) or "a file: give a folder with config.json and weights"
        raise InputError(f"{source} is {what}")
    nested = len(path.parts) > 1 and path.parent.exists()
    if isinstance(source, Path) or nested or source.startswith((".", "/", "~")):
        raise NotFoundError(f"no folder {source}")
    return download(source)


def download(name: str) -> Path:
    """Download a hub model, or take the copy in the hub's cache if the hub cannot be reached."""
    files = [*DESCRIPTIONS, "model*.safetensors", "model.safetensors.index.json"]
    # without a home folder the hub's default, `~/.cache`, fails
    cache = cache_folder() / "huggingface" if HF_HUB_CACHE.startswith("~") else None
    try:
        folder = Path(snapshot_download(name, allow_patterns=files, cache_dir=cache))
        if not weight_files(folder):
            folder = Path(snapshot_download(name, allow_patterns=[*files, *PICKLES], cache_dir=cache))
    except HFValidationError as error:
        raise NotFoundError(f"{name!r} is neither a folder nor a name on the model hub") from error
    except RepositoryNotFoundError as error:
        raise NotFoundError(f"the model hub has no {name!r}, or it needs a login") from error
    except (LocalEntryNotFoundError, HTTPError) as error:
        unreachable = f"cannot reach the model hub for {name!r}"
        if "/" not in name:  # few models of a hub have such a name
            unreachable = f"there is no folder {name}, and the model hub cannot be reached"
        raise WorkError(f"{unreachable}; download the model elsewhere and give the folder") from error
    return folder
