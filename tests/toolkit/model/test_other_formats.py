"""Models of other tools: each is named, with what to give instead."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from metaser.runtime.errors import InputError
from metaser.toolkit.model.backbone import load_backbone

if TYPE_CHECKING:
    from tests.toolkit.conftest import Pretrained

ADAPTER = '{"peft_type": "LORA", "base_model_name_or_path": "facebook/wav2vec2-base"}'

FOLDERS = [
    (
        {"adapter_config.json": ADAPTER, "adapter_model.safetensors": ""},
        r"a PEFT \(LoRA\) adapter for facebook/wav2vec2",
    ),
    (
        {"adapter_config.json": "no JSON"},
        r"a PEFT \(LoRA\) adapter for a base model and not a whole model: load both with",
    ),
    ({"config.yaml": "", "configuration.json": "{}", "model.pt": ""}, r"a FunASR model, for example emotion2vec"),
    ({"config.yaml": "", "model.pt": ""}, r"a FunASR model"),
    ({"hyperparams.yaml": "", "wav2vec2.ckpt": ""}, r"a SpeechBrain model"),
    ({"config.json": "{}", "hyperparams.yaml": "", "model.ckpt": ""}, r"a SpeechBrain model"),
    ({"config.json": "{}", "model.onnx": ""}, r"a folder of ONNX graphs: give the folder of the PyTorch model"),
    ({"config.json": "{}", "onnx/encoder.onnx": ""}, r"a folder of ONNX graphs"),
    ({"bundle.json": "{}", "encoder.onnx": ""}, r"a bundle that metaser export wrote: use it with --bundle"),
    (
        {"checkpoint_best.pt": ""},
        r"a folder with checkpoint_best\.pt, a plain PyTorch checkpoint, for example from fairseq",
    ),
    ({"config.json": "{}", "tf_model.h5": ""}, r"a model with only TensorFlow or Flax weights"),
    ({"config.json": "{}", "model.fp16.safetensors": ""}, r"rename the file to model\.safetensors"),
    ({"config.json": "{}", "pytorch_model.fp16.bin": ""}, r"rename the file to pytorch_model\.bin"),
    ({"snapshots/abc/config.json": "{}", "snapshots/abc/model.safetensors": ""}, r"give .*snapshots/abc$"),
    ({"encoder/config.json": "{}", "encoder/model.safetensors": ""}, r"give .*encoder$"),
]


@pytest.mark.parametrize(("files", "message"), FOLDERS, ids=["-".join(files) for files, _ in FOLDERS])
def test_a_folder_of_another_tool_is_named(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path} is a ")


def test_an_adapter_next_to_a_whole_model_is_reported(wav2vec2: "Pretrained", tmp_path: Path) -> None:
    folder = shutil.copytree(wav2vec2.folder, tmp_path / "encoder")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": None}))
    with pytest.raises(InputError, match=r"is a PEFT \(LoRA\) adapter for a base model"):
        load_backbone(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hubert_base.pt", "a plain PyTorch checkpoint, for example from fairseq"),
        ("last.ckpt", "a plain PyTorch checkpoint"),
        ("model.onnx", "an ONNX graph: give the PyTorch model"),
        ("model.safetensors", "a file of weights alone: give the folder"),
        ("model.nemo", "a NeMo model"),
        ("model.tar.gz", "an archive: unpack it"),
    ],
)
def test_a_file_is_named(name: str, message: str, tmp_path: Path) -> None:
    torch.save({}, tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} is {message}"):
        load_backbone(tmp_path / name)
