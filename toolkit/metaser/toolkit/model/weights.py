"""Read files of weights and descriptions, load them into modules, and report what does not fit."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from metaser.runtime.errors import InputError, NotFoundError
from metaser.runtime.system.strict_json import read_json_text
from metaser.toolkit.model.pickles import load_pickle

PREFIX = re.compile(r"^(wav2vec2|hubert|wavlm|data2vec_audio|model)\.(?=feature_|encoder\.)")
"""Prefixes of weight names on the hub when the encoder is part of a larger model."""

OLD_WEIGHT_NORM = {
    "conv.weight_g": "conv.parametrizations.weight.original0",
    "conv.weight_v": "conv.parametrizations.weight.original1",
}

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of whole files; shards have an index in the same folder, NAME.index.json."""

PART = re.compile(r"encoder\.layers\.\d+|encoder\.\w+|\w+")


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load exactly the weights of `module`.

    Raises:
        InputError: some are missing, left over, of another shape or not finite.
    """
    expected = module.state_dict()
    shapes = [
        f"{name} is {list(tensors[name].shape)} instead of {list(expected[name].shape)}"
        for name in expected.keys() & tensors.keys()
        if tensors[name].shape != expected[name].shape
    ]
    findings = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - expected.keys()),
        "of the wrong shape": sorted(shapes),
    }
    problems = [f"{len(names)} {kind} ({names[0]})" for kind, names in findings.items() if names]
    if problems:
        raise InputError(f"the weights of {source} do not fit the architecture: {', '.join(problems)}")
    if broken := sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all()):
        raise InputError(f"{len(broken)} weights of {source} hold NaN or infinity ({broken[0]}): get the model again")
    module.load_state_dict(tensors)


def read_folder(folder: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in a folder of the hub's layout, under transformers' names, for the parts in `expected`."""
    parts = {part(name) for name in expected}
    files = weight_files(folder)
    if not files:
        raise NotFoundError(f"no weights in {folder}: model.safetensors or pytorch_model.bin is needed")
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= read_file(file, lambda name: part(canonical(name)) in parts)
    return {canonical(name): tensor for name, tensor in tensors.items()}


def read_file(path: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, Tensor]:
    """The wanted tensors of a .safetensors file, or of a pickle that holds only tensors."""
    try:
        if path.suffix == ".bin":
            return {name: tensor for name, tensor in _unpickled(path).items() if wanted(name)}
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if wanted(name)}  # noqa: SIM118
    except FileNotFoundError as error:
        raise NotFoundError(f"no {path.name} in {path.parent}") from error
    except (SafetensorError, RuntimeError, OSError, TypeError) as error:
        raise InputError(f"{path} is damaged or not a file of weights: {error}") from error


def _unpickled(path: Path) -> dict[str, Tensor]:
    """A pickle's tensors by name; its code is not run."""
    content = load_pickle(path, "a file of weights by name, as state_dict() has them", mapped=True)
    if strange := [str(name) for name, value in content.items() if not _is_weight(name, value)]:
        raise InputError(f"{path} holds {', '.join(strange[:3])} besides weights: save only the model's state_dict()")
    return content


def _is_weight(name: object, value: object) -> bool:
    """Whether this is a name with an ordinary tensor whose values are in memory or in the file."""
    return (
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_complex()
    )


def canonical(name: str) -> str:
    """A weight's name on the hub -> its name in transformers' encoder."""
    name = PREFIX.sub("", name)
    for old, new in OLD_WEIGHT_NORM.items():
        name = name.replace(old, new)
    return name


def part(name: str) -> str:
    """The part of an encoder that a weight belongs to: 'encoder.layers.3', 'encoder.conv1', 'feature_projection'."""
    found = PART.match(name)
    return found.group() if found else name


def weight_files(folder: Path) -> list[Path]:
    """The files of a model's weights, empty if there are none: safetensors before pickles, whole before shards.

    Raises:
        InputError: the index of the shards is damaged.
    """
    for name in WEIGHTS:
        if (folder / name).exists():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.exists():
            return _shards(index)
    return []


def _shards(index: Path) -> list[Path]:
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise InputError(f"{index} is damaged: its weight_map must name the file of each weight")
    return [index.parent / Path(name).name for name in sorted(set(files.values()))]


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; errors name the file."""
    try:
        content = read_json_text(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"no {path.name} in {path.parent}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold a JSON object")
    return content
