"""Pre-trained weights from a folder or the hub: exactly the used ones, or an error that names the problem."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

from metaser.runtime.errors import InputError, NotFoundError, WorkError
from metaser.toolkit.model.backbone import ARCHITECTURES, build_backbone, load_backbone

if TYPE_CHECKING:
    from tests.toolkit.conftest import Pretrained

Weights = dict[str, Tensor]


@pytest.fixture
def folder(wav2vec2: "Pretrained", tmp_path: Path) -> Path:
    """A copy of the tiny wav2vec2 to damage."""
    return shutil.copytree(wav2vec2.folder, tmp_path / "encoder")


def change_weights(folder: Path, change: Callable[[Weights], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def same_weights(folder: Path, expected: Path) -> bool:
    ours, theirs = load_backbone(folder).state_dict(), load_backbone(expected).state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_only_the_layers_asked_for_are_built(pretrained: "Pretrained") -> None:
    names = pretrained.backbone(2).state_dict().keys()
    layers = {name.split(".")[2] for name in names if name.startswith("encoder.layers.")}
    assert layers == {"0", "1"}
    assert not any("decoder" in name or "masked_spec_embed" in name for name in names)


def test_loading_prints_nothing(pretrained: "Pretrained", capfd: pytest.CaptureFixture[str]) -> None:
    load_backbone(pretrained.folder, 1)
    assert capfd.readouterr() == ("", "")


def test_a_backbone_is_rebuilt_from_its_description(pretrained: "Pretrained") -> None:
    backbone = pretrained.backbone(2)
    rebuilt = build_backbone(json.loads(json.dumps(backbone.description())))
    rebuilt.load_state_dict(backbone.state_dict())
    waveform, lengths = torch.rand(1, 3_000), torch.tensor([3_000])
    with torch.no_grad():
        assert torch.equal(rebuilt(waveform, lengths)[0], backbone(waveform, lengths)[0])
    assert rebuilt.description() == backbone.description()
    assert str(pretrained.folder) not in json.dumps(backbone.description())


def test_half_precision_files_are_loaded_in_float32(wav2vec2: "Pretrained", folder: Path) -> None:
    change_weights(folder, lambda weights: weights.update({k: v.half() for k, v in weights.items()}))
    expected = wav2vec2.loaded.state_dict()
    loaded = load_backbone(folder).state_dict()
    assert all(torch.equal(loaded[name], expected[name].half().float()) for name in expected)


def test_sharded_files_are_read(wav2vec2: "Pretrained", folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(weights)}
    for shard in set(shards.values()):
        save_file({name: weights[name] for name in weights if shards[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert same_weights(folder, wav2vec2.folder)


def test_sharded_pickles_are_read(wav2vec2: "Pretrained", folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = {name: f"pytorch_model-0000{1 + i % 2}-of-00002.bin" for i, name in enumerate(weights)}
    for shard in set(shards.values()):
        torch.save({name: weights[name] for name in weights if shards[name] == shard}, folder / shard)
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    assert same_weights(folder, wav2vec2.folder)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(NotFoundError, match=r"no pytorch_model-00002-of-00002\.bin in"):
        load_backbone(folder)
    index.write_text('{"weight_map": ["pytorch_model-00001-of-00002.bin"]}')
    with pytest.raises(InputError, match=r"pytorch_model\.bin\.index\.json is damaged"):
        load_backbone(folder)


def test_a_sharded_pickle_that_runs_code_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Path("anything")}, folder / "pytorch_model-00001-of-00001.bin")
    index = {"weight_map": {"weight": "pytorch_model-00001-of-00001.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"pytorch_model-00001-of-00001\.bin is damaged or not a file of weights"):
        load_backbone(folder)


def test_a_pickle_that_an_old_pytorch_wrote_is_read(wav2vec2: "Pretrained", folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert same_weights(folder, wav2vec2.folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": {"weight": torch.zeros(2)}, "epoch": 3},
            r"holds state_dict, epoch besides weights: save only the mod",
        ),
        ([torch.zeros(2)], r"holds a list and is not a file of weights by name, as state_dict\(\) has them"),
    ],
)
def test_a_pickle_that_holds_more_than_weights_is_refused(folder: Path, content: object, message: str) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=message):
        load_backbone(folder)


@pytest.mark.parametrize(
    "value", [torch.zeros(2, 2).to_sparse(), torch.zeros(2, dtype=torch.complex64), torch.empty(2, device="meta")]
)
def test_tensors_that_are_no_weights_are_refused(folder: Path, value: Tensor) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": value}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds weight besides weights"):
        load_backbone(folder)


@pytest.mark.parametrize(
    "change",
    [{"conv_dim": [-1] * 7}, {"hidden_size": 2**31}, {"num_hidden_layers": 257}, {"conv_kernel": [0] * 7}],
    ids=str,
)
def test_sizes_that_no_encoder_has_are_refused_before_memory_is_asked_for(folder: Path, change: dict[str, Any]) -> None:
    change_json(folder / "config.json", **change)
    with pytest.raises(InputError, match=r"must be from 1 to (65536|256)$"):
        load_backbone(folder)


@pytest.mark.parametrize("chance", [-0.1, 1.1, 1e300, "much"])
def test_a_dropout_that_is_no_chance_is_refused(folder: Path, chance: object) -> None:
    change_json(folder / "config.json", hidden_dropout=chance)
    with pytest.raises(InputError, match=r"hidden_dropout is .* from 0 to 1|the backbone's description"):
        load_backbone(folder)


@pytest.mark.parametrize("depth", [100, 200_000])
def test_a_configuration_that_is_nested_too_deeply_is_refused(folder: Path, depth: int) -> None:
    (folder / "config.json").write_text('{"a": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(InputError, match="is not valid JSON: it is nested"):
        load_backbone(folder)


def test_a_pickle_of_an_unknown_protocol_is_read_without_a_warning(wav2vec2: "Pretrained", folder: Path) -> None:
    path = folder / "pytorch_model.bin"
    torch.save(load_file(folder / "model.safetensors"), path)
    (folder / "model.safetensors").unlink()
    content = path.read_bytes()
    at = content.index(b"\x80\x02")
    path.write_bytes(content[: at + 1] + b"\x23" + content[at + 2 :])
    assert same_weights(folder, wav2vec2.folder)


def test_a_pickle_with_the_old_names_of_weight_norm_is_read(wav2vec2: "Pretrained", folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    new = "parametrizations.weight.original"
    old = {name.replace(f"{new}0", "weight_g").replace(f"{new}1", "weight_v"): v for name, v in weights.items()}
    assert old.keys() != weights.keys()
    torch.save(old, folder / "pytorch_model.bin")
    assert same_weights(folder, wav2vec2.folder)


def test_a_pickle_that_runs_code_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Path("anything")}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is damaged or not a file of weights"):
        load_backbone(folder)


def test_a_missing_weight_is_never_a_random_one(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.pop("wav2vec2.encoder.layers.1.attention.q_proj.bias"))
    with pytest.raises(InputError, match=r"1 missing \(encoder\.layers\.1\.attention\.q_proj\.bias\)"):
        load_backbone(folder)
    assert load_backbone(folder, 1).layers == 1  # that layer is not used


@pytest.mark.parametrize("name", ["feature_extractor.conv_layers.0.extra", "encoder.layers.2.adapter_layer.norm.bias"])
def test_a_weight_that_the_architecture_has_no_place_for_is_an_error(folder: Path, name: str) -> None:
    change_weights(folder, lambda weights: weights.update({f"wav2vec2.{name}": torch.zeros(2)}))
    with pytest.raises(InputError, match=rf"1 unexpected \({name}\)"):
        load_backbone(folder)


def test_a_weight_of_another_shape_is_an_error(folder: Path) -> None:
    name = "wav2vec2.feature_projection.projection.bias"
    change_weights(folder, lambda weights: weights.update({name: torch.ones(5)}))
    with pytest.raises(InputError, match=r"feature_projection\.projection\.bias is \[5\] instead of \[32\]"):
        load_backbone(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_an_error(folder: Path, value: float) -> None:
    name = "wav2vec2.feature_projection.projection.bias"
    change_weights(folder, lambda weights: weights[name].__setitem__(3, value))
    with pytest.raises(
        InputError, match=r"1 weights of .* hold NaN or infinity \(feature_projection\.projection\.bias\)"
    ):
        load_backbone(folder)


def test_a_truncated_file_is_an_error(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
        load_backbone(folder)


def test_input_normalisation_follows_the_preprocessor(folder: Path) -> None:
    assert load_backbone(folder).do_normalize  # transformers' default
    preprocessor = folder / "preprocessor_config.json"
    preprocessor.write_text('{"do_normalize": false}')
    assert not load_backbone(folder).do_normalize
    preprocessor.write_text('{"sampling_rate": 8000}')
    with pytest.raises(InputError, match="8000 Hz; only 16000 Hz"):
        load_backbone(folder)


@pytest.mark.parametrize("nested", ["feature_extractor", "audio_processor"])
def test_the_file_of_a_whole_processor_is_heeded_before_that_of_the_feature_extractor(
    folder: Path, nested: str
) -> None:
    processor = folder / "processor_config.json"
    (folder / "preprocessor_config.json").unlink(missing_ok=True)
    processor.write_text(json.dumps({"processor_class": "Wav2Vec2Processor", nested: {"do_normalize": False}}))
    assert not load_backbone(folder).do_normalize
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}')
    assert not load_backbone(folder).do_normalize  # as in transformers
    processor.write_text('{"processor_class": "Wav2Vec2Processor"}')  # not nested, as transformers 4 writes it
    assert load_backbone(folder).do_normalize
    processor.write_text(json.dumps({nested: {"sampling_rate": 8000}}))
    with pytest.raises(InputError, match="8000 Hz; only 16000 Hz"):
        load_backbone(folder)
    processor.write_text(json.dumps({nested: 3}))
    with pytest.raises(InputError, match=rf"processor_config\.json is damaged: {nested} is not a JSON object"):
        load_backbone(folder)


@pytest.mark.parametrize("do_normalize", [True, False])
def test_a_processor_that_this_transformers_saves_gives_its_frames(folder: Path, do_normalize: bool) -> None:
    (folder / "preprocessor_config.json").unlink(missing_ok=True)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({token: row for row, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|"])}))
    extractor = Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    Wav2Vec2Processor(extractor, Wav2Vec2CTCTokenizer(str(vocabulary))).save_pretrained(folder)
    assert load_backbone(folder).do_normalize == do_normalize


def test_whispers_rate_is_heeded(whisper: "Pretrained", tmp_path: Path) -> None:
    folder = shutil.copytree(whisper.folder, tmp_path / "whisper")
    (folder / "processor_config.json").write_text('{"feature_extractor": {"sampling_rate": 48000}}')
    with pytest.raises(InputError, match="48000 Hz; only 16000 Hz"):
        load_backbone(folder)


@pytest.mark.parametrize("layers", [0, -1, 4])
def test_layers_out_of_range_are_refused_with_the_range(folder: Path, layers: int) -> None:
    with pytest.raises(InputError, match=f"has 3 layers: choose 1 to 3, not {layers}"):
        load_backbone(folder, layers)


def test_an_unknown_architecture_is_refused_with_the_known_ones(folder: Path) -> None:
    change_json(folder / "config.json", model_type="bert")
    with pytest.raises(InputError, match=rf"'bert' is not known; known are {', '.join(ARCHITECTURES)}"):
        load_backbone(folder)


def test_a_configuration_without_a_model_type_says_what_to_add(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"has no model_type: add the type of the model, for example wav2vec2"):
        load_backbone(folder)


@pytest.mark.parametrize("change", [{"config": {}}, {"config": {"hidden_size": "wide"}}, {"layers": None}])
def test_a_description_that_cannot_be_built_is_an_input_error(wav2vec2: "Pretrained", change: dict[str, Any]) -> None:
    description = {**wav2vec2.loaded.description(), **change}
    if change == {"config": {}}:
        del description["config"]
    with pytest.raises(InputError, match="not complete or not valid"):
        build_backbone(description)


def test_what_is_not_a_folder_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    for path in ("./absent", str(folder / "absent"), "encoder/absent", Path("absent")):
        with pytest.raises(NotFoundError, match=r"no folder .*absent"):
            load_backbone(path)
    with pytest.raises(InputError, match="is a file: give a folder"):
        load_backbone(folder / "config.json")
    with pytest.raises(NotFoundError, match=r"neither a folder nor a name on the model hub"):
        load_backbone("no model/has/this name")
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotFoundError, match="no weights in"):
        load_backbone(folder)
    (folder / "config.json").unlink()
    with pytest.raises(NotFoundError, match=r"no config\.json in"):
        load_backbone(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("someone/some-encoder", "cannot reach the model hub for 'someone/some-encoder'"),
        ("nosuchdir", "there is no folder nosuchdir, and the model hub cannot be reached"),
    ],
)
def test_an_unreachable_hub_is_one_clear_error(tmp_path: Path, name: str, said: str) -> None:
    """Run in a separate process, because the hub's client reads its settings on import."""
    code = f"from metaser.toolkit import load_backbone; load_backbone({name!r})"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    lines = run.stderr.strip().splitlines()
    assert WorkError.__name__ in lines[-1]
    assert f"{said}; download the model elsewhere" in lines[-1]


def test_importing_the_toolkit_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, metaser.toolkit; assert not {'torch', 'transformers'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; import metaser.toolkit as t; t.load_backbone"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingDependencyError" in run.stderr
    assert "pip install 'metaser[train]'" in run.stderr.splitlines()[-1]
