"""Recognise models that are not in the hub's layout, and say what to do with them."""

import json
from pathlib import Path

from metaser.toolkit.model.weights import weight_files

HUB_LAYOUT = "a folder with config.json and model.safetensors, as save_pretrained of transformers writes it"
SINGLE_FILES = {
    ".onnx": "an ONNX graph: give the PyTorch model that it was exported from",
    ".safetensors": "a file of weights alone: give the folder that it lies in, with its config.json",
    ".bin": "a file of weights alone: give the folder that it lies in, with its config.json",
    ".nemo": f"a NeMo model, which metaser does not read: give {HUB_LAYOUT}",
    ".gguf": f"a model of llama.cpp or whisper.cpp, which metaser does not read: give {HUB_LAYOUT}",
    **dict.fromkeys(
        (".pt", ".pth", ".ckpt"),
        "a plain PyTorch checkpoint, for example from fairseq or Lightning: convert it with the conversion script of "
        f"its architecture in transformers and give {HUB_LAYOUT}",
    ),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz"), "an archive: unpack it and give the folder"),
}


def describe_file(path: Path) -> str | None:
    """Describe a file that was given as a model, and what to do; None if it is unknown."""
    return SINGLE_FILES.get(path.suffix.lower())


def describe_folder(folder: Path) -> str | None:
    """Describe a folder that is not a whole model in the hub's layout, and what to do; None if it is one, or unknown.

    The words continue a sentence "FOLDER is ...".
    """
    if (folder / "adapter_config.json").is_file():
        base = _text(folder / "adapter_config.json", "base_model_name_or_path")
        return (
            f"a PEFT (LoRA) adapter for {base or 'a base model'} and not a whole model: load both with peft, "
            "call merge_and_unload() and save_pretrained(), and give the folder that this writes"
        )
    if (folder / "config.json").is_file() and weight_files(folder):
        return None
    return _known_format(folder) or _weights_of_another_kind(folder) or _place_of_the_model(folder)


def _known_format(folder: Path) -> str | None:
    if (folder / "bundle.json").is_file():
        return "a bundle that metaser export wrote: use it with --bundle, or export the model that it was made from"
    if (folder / "hyperparams.yaml").is_file():
        return f"a SpeechBrain model, which metaser does not read: give the encoder that it builds on, {HUB_LAYOUT}"
    if (folder / "config.yaml").is_file() and (
        (folder / "model.pt").exists() or (folder / "configuration.json").exists()
    ):
        return (
            "a FunASR model, for example emotion2vec, which metaser does not read: "
            f"give a Wav2Vec2, HuBERT, WavLM, data2vec-audio or Whisper model, {HUB_LAYOUT}"
        )
    return None


def _weights_of_another_kind(folder: Path) -> str | None:
    if next(folder.glob("*.onnx"), None) or next(folder.glob("onnx/*.onnx"), None):
        return "a folder of ONNX graphs: give the folder of the PyTorch model that they were exported from"
    if (folder / "tf_model.h5").exists() or (folder / "flax_model.msgpack").exists():
        return f"a model with only TensorFlow or Flax weights: give one with PyTorch weights, {HUB_LAYOUT}"
    for variant in sorted([*folder.glob("model.*.safetensors"), *folder.glob("pytorch_model.*.bin")]):
        name = variant.name.split(".")
        return f"a model whose weights are a variant, {variant.name}: rename the file to {name[0]}.{name[-1]}"
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".pt", ".pth", ".ckpt", ".nemo", ".gguf"):
            return f"a folder with {path.name}, {SINGLE_FILES[path.suffix.lower()]}"
    return None


def _place_of_the_model(folder: Path) -> str | None:
    """Look for the model in a folder below: the snapshot of a hub cache, or a subfolder."""
    for path in sorted([*folder.glob("snapshots/*/config.json"), *folder.glob("*/config.json")]):
        if weight_files(path.parent):
            return f"a folder above a model: give {path.parent}"
    return None


def _text(path: Path, name: str) -> str | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get(name)
    except (AttributeError, ValueError):
        return None
    return value if isinstance(value, str) else None
