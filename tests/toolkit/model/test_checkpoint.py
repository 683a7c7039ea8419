"""A checkpoint is read as it was written, and every error is reported in one sentence."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from metaser.runtime.errors import InputError, NotFoundError, WorkError
from metaser.runtime.system import files
from metaser.toolkit.model.checkpoint import CheckpointMetadata, load_checkpoint, save_checkpoint
from metaser.toolkit.model.network import HEADS, ProtoNet, make_head

if TYPE_CHECKING:
    from tests.toolkit.conftest import Pretrained

METADATA = CheckpointMetadata(
    source="someone/some-encoder",
    licence="MIT",
    corpora=("ravdess", "emodb"),
    languages=("en", "de"),
    calibration={"threshold": 0.25},
)


@pytest.fixture
def folder(network: ProtoNet, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "checkpoint", network, METADATA)
    return tmp_path / "checkpoint"


def change(folder: Path, **changes: Any) -> None:
    path = folder / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize("kind", HEADS)
def test_weights_and_metadata_come_back_bit_for_bit(pretrained: "Pretrained", kind: str, tmp_path: Path) -> None:
    model = ProtoNet(pretrained.backbone(2), make_head(kind, 32, 8)).eval()
    save_checkpoint(tmp_path / "new" / "checkpoint", model, METADATA)
    loaded, metadata = load_checkpoint(tmp_path / "new" / "checkpoint")
    assert metadata == METADATA
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    waveform, lengths = torch.randn(2, 1_200), torch.tensor([1_200, 900])
    with torch.no_grad():
        assert torch.equal(loaded.embed(waveform, lengths), model.embed(waveform, lengths))


def test_the_loaded_network_is_ready_to_use_and_to_train(folder: Path, network: ProtoNet) -> None:
    loaded, _ = load_checkpoint(folder)
    assert not any(part.training for part in loaded.modules())
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert {name for name, parameter in loaded.named_parameters() if parameter.requires_grad} == trained


def test_half_precision_halves_the_file_and_is_loaded_in_float32(network: ProtoNet, folder: Path) -> None:
    full = (folder / "model.safetensors").stat().st_size
    save_checkpoint(folder, network, METADATA, dtype=torch.float16)
    assert (folder / "model.safetensors").stat().st_size < 0.6 * full
    loaded, _ = load_checkpoint(folder)
    expected = network.state_dict()
    assert all(torch.equal(tensor, expected[name].half().float()) for name, tensor in loaded.state_dict().items())


def test_saving_twice_gives_identical_files_and_leaves_nothing_else(network: ProtoNet, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    save_checkpoint(folder, network, METADATA)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert before.keys() == {"checkpoint.json", "model.safetensors"}
    assert list(folder.parent.iterdir()) == [folder]


def test_whom_the_umask_allows_may_read_a_checkpoint_and_a_new_one_keeps_the_mode_of_its_folder(
    network: ProtoNet, tmp_path: Path
) -> None:
    folder, before = tmp_path / "checkpoint", os.umask(0o022)
    try:
        save_checkpoint(folder, network, METADATA)
        folder.chmod(0o750)
        save_checkpoint(folder, network, METADATA)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_a_failure_while_writing_leaves_the_old_checkpoint(
    network: ProtoNet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(path: Path) -> None:
        raise OSError(28, f"no space left for {path.name}")

    before = (folder / "checkpoint.json").read_bytes()
    monkeypatch.setattr(files, "flush", full_disk)
    with pytest.raises(WorkError, match=r"cannot write the checkpoint .* no space left"):
        save_checkpoint(folder, network, CheckpointMetadata(source="other", licence="MIT"))
    assert (folder / "checkpoint.json").read_bytes() == before
    assert list(folder.parent.iterdir()) == [folder]


def test_a_failure_while_renaming_puts_the_old_checkpoint_back(
    network: ProtoNet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse_the_new_one(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError(5, "input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(WorkError, match="input/output error"):
        save_checkpoint(folder, network, CheckpointMetadata(source="other", licence="MIT"))
    assert load_checkpoint(folder)[1] == METADATA
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_with_other_things_is_never_replaced(network: ProtoNet, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="exists and is not a checkpoint"):
        save_checkpoint(tmp_path, network, METADATA)
    assert (tmp_path / "thesis.txt").exists()


def test_only_float32_and_float16_are_stored(network: ProtoNet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not torch\.bfloat16"):
        save_checkpoint(tmp_path / "checkpoint", network, METADATA, dtype=torch.bfloat16)


def test_what_is_not_a_checkpoint_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no folder .*absent"):
        load_checkpoint(tmp_path / "absent")
    with pytest.raises(InputError, match=r"it has no checkpoint\.json"):
        load_checkpoint(tmp_path)
    change(folder, format="something-else")
    with pytest.raises(InputError, match="its format is 'something-else'"):
        load_checkpoint(folder)


def test_a_newer_version_is_refused(folder: Path) -> None:
    change(folder, version=2)
    with pytest.raises(InputError, match="has version 2; this metaser reads version 1: update metaser"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": {"kind": "max", "width": 32, "embedding_size": 8}}, "'max' is not known"),
        ({"head": {"kind": "glu"}}, "not complete or not valid"),
        ({"head": None}, "not complete or not valid"),
        ({"backbone": {"model_type": "bert"}}, "'bert' is not known"),
        ({"backbone": {"model_type": "wav2vec2"}}, "not complete or not valid"),
        ({"corpora": None}, "not complete or not valid"),
    ],
)
def test_a_description_that_makes_no_network_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    change(folder, **changes)
    with pytest.raises(InputError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_description_that_is_not_a_json_object_is_refused(folder: Path, text: str) -> None:
    (folder / "checkpoint.json").write_text(text)
    with pytest.raises(InputError, match=r"checkpoint\.json"):
        load_checkpoint(folder)


def test_weights_that_do_not_fit_are_refused(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.pop("head.gate.bias"))
    with pytest.raises(InputError, match=r"1 missing \(head\.gate\.bias\)"):
        load_checkpoint(folder)
    change_weights(folder, lambda weights: weights.update({"head.gate.bias": torch.zeros(9)}))
    with pytest.raises(InputError, match=r"head\.gate\.bias is \[9\] instead of \[8\]"):
        load_checkpoint(folder)
    change_weights(folder, lambda weights: weights.update({"head.gate.bias": torch.zeros(8), "other": torch.zeros(1)}))
    with pytest.raises(InputError, match=r"1 unexpected \(other\)"):
        load_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"no model\.safetensors"):
        load_checkpoint(folder)


def test_another_number_of_layers_is_refused(folder: Path) -> None:
    assert load_checkpoint(folder, layers=2)[0].backbone.layers == 2
    with pytest.raises(InputError, match="has 2 layers, as it was trained; it cannot be used with 3"):
        load_checkpoint(folder, layers=3)
