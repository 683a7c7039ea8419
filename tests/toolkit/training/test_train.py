"""The whole loop on tiny encoders: it learns, resumes bit by bit, stops on request, and reports errors."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from torch import Tensor

from metaser.runtime.errors import InputError, MetaserError, MissingDependencyError, WorkError
from metaser.toolkit.config import Config
from metaser.toolkit.model.checkpoint import load_checkpoint
from metaser.toolkit.training.train import train

MakeConfig: TypeAlias = Callable[..., Config]

EVERYTHING: dict[str, Any] = {
    "model": {"weighted_sum": True},
    "optimiser": {"gradient_accumulation": 2, "layer_decay": 0.9, "ema_decay": 0.5, "classification_weight": 0.5},
    "adversary": {"on": "corpus", "weight": 0.5},
    "episodes": {"count": 12, "symmetric_loss": True},
    "gradient_checkpointing": True,
}


def quiet(_line: str) -> None:
    pass


def records(config: Config, event: str) -> list[dict[str, Any]]:
    lines = (config.out / "log.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == event]


def final_weights(config: Config) -> Mapping[str, Tensor]:
    state = torch.load(config.out / "state.pt", weights_only=True)
    weights: dict[str, Tensor] = state["parts"]["network"]
    for part in ("discriminator", "classifier", "ema"):
        weights |= {f"{part}.{name}": value for name, value in state["parts"].get(part, {}).items()}
    return weights


def interrupt_at(text: str) -> Callable[[str], None]:
    """A `notify` that presses Ctrl-C when a line starts so."""

    def notify(line: str) -> None:
        if line.startswith(text):
            os.kill(os.getpid(), signal.SIGINT)

    return notify


def test_accuracy_rises_on_training_and_held_out_speakers(make_config: MakeConfig) -> None:
    config = make_config({"episodes": {"count": 40}, "validation": {"every": 20, "episodes": 20}})
    best = train(config, quiet)

    accuracy = [record["accuracy"] for record in records(config, "step")]
    validation = [record["accuracy"] for record in records(config, "validation")]
    assert np.mean(accuracy[-10:]) > max(0.6, np.mean(accuracy[:5]))
    assert max(validation) > 0.6  # of 3 classes
    network, metadata = load_checkpoint(best)
    assert network.backbone.layers == 2
    assert metadata.corpora == ("birds", "kettles")


def test_persons_train_with_the_same_code(make_config: MakeConfig) -> None:
    persons = {"data": {"column": "speaker"}, "episodes": {"n_way": 2, "speaker_split": "any"}}
    config = make_config(persons)
    train(config, quiet)
    assert len(records(config, "validation")) == 2  # of the two persons of each corpus that never train


def test_accents_of_a_manifest_train_with_the_same_code(
    make_config: MakeConfig, corpora: tuple[Path, ...], tmp_path: Path
) -> None:
    accents = {"low": "scots", "middle": "welsh", "high": "cornish"}
    lines = [f"{clip},{accents[clip.parts[-3]]},{clip.parts[-2]},en,accents" for clip in corpora[0].rglob("*.wav")]
    (tmp_path / "accents.csv").write_text("\n".join(["path,label,speaker,language,corpus", *lines]))
    data = {
        "corpora": [],
        "manifests": [str(tmp_path / "accents.csv")],
        "validation_speakers": {"accents": ["e", "f"]},
    }
    _, metadata = load_checkpoint(train(make_config({"data": data}), quiet))
    assert (metadata.corpora, metadata.languages) == (("accents",), ("en",))


@pytest.mark.parametrize("backbone", ["whisper", "wav2vec2"])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    make_config: MakeConfig, tmp_path: Path, backbone: str
) -> None:
    whole = make_config({**EVERYTHING, "out": str(tmp_path / "whole")}, backbone)
    train(whole, quiet)

    parts = make_config({**EVERYTHING, "out": str(tmp_path / "parts"), "workers": 0}, backbone)
    with pytest.raises(KeyboardInterrupt):
        train(parts, interrupt_at("step 2 of 6"))
    torch.manual_seed(123)  # what happens in between does not matter
    with pytest.raises(KeyboardInterrupt):
        train(parts, interrupt_at("step 4 of 6"), resume=True)
    train(parts, quiet, resume=True)

    expected, found = final_weights(whole), final_weights(parts)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [record["step"] for record in records(parts, "step")] == [1, 2, 3, 4, 5, 6]
    assert [record["loss"] for record in records(parts, "step")] == [r["loss"] for r in records(whole, "step")]
    assert (whole.out / "best/model.safetensors").read_bytes() == (parts.out / "best/model.safetensors").read_bytes()


def test_ctrl_c_saves_the_state_and_says_so(make_config: MakeConfig) -> None:
    config = make_config()
    said: list[str] = []

    def notify(line: str) -> None:
        said.append(line)
        interrupt_at("step 4")(line)

    with pytest.raises(KeyboardInterrupt):
        train(config, notify)
    assert said[-1] == "stopped by Ctrl-C after step 5 of 8; --resume continues from there"
    assert torch.load(config.out / "state.pt", weights_only=True)["progress"]["step"] == 5


def test_the_weights_of_frozen_parts_stay_and_others_learn(
    make_config: MakeConfig, saved: Callable[[str], Any]
) -> None:
    before = saved("wav2vec2").backbone(2).state_dict()
    best = train(make_config({"freeze": {"layers": 1}, "episodes": {"count": 3}}, "wav2vec2"), quiet)
    after = load_checkpoint(best)[0].backbone.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("encoder.layers.1.") for name in changed)


def test_the_generator_of_the_caller_is_left_alone(make_config: MakeConfig) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    train(make_config({"episodes": {"count": 1}}), quiet)
    assert torch.equal(torch.rand(1), expected)


def test_the_average_of_the_weights_is_what_is_kept(make_config: MakeConfig) -> None:
    best = train(make_config({"optimiser": {"ema_decay": 0.9}, "validation": {"every": 0}}), quiet)
    state = torch.load(best.parent / "state.pt", weights_only=True)["parts"]
    kept = load_checkpoint(best)[0].state_dict()
    assert all(torch.equal(value, state["ema"][f"module.{name}"]) for name, value in kept.items())
    assert not all(torch.equal(value, state["network"][name]) for name, value in kept.items())


def test_what_is_kept_can_lie_between_the_start_and_what_was_learnt(make_config: MakeConfig, tmp_path: Path) -> None:
    never = {"validation": {"every": 0}, "model": {"scale": 20.0}}
    half = train(make_config({"optimiser": {"ema_decay": 0.9, "wise_ft_alpha": 0.5}, **never}), quiet)
    averaged = torch.load(half.parent / "state.pt", weights_only=True)["parts"]["ema"]
    none = make_config({"out": str(tmp_path / "none"), "optimiser": {"wise_ft_alpha": 0.0}, **never})
    start = load_checkpoint(train(none, quiet))[0].state_dict()
    kept = load_checkpoint(half)[0].state_dict()
    assert start["head.scale"] == 20
    for name, value in kept.items():
        torch.testing.assert_close(value, (start[name] + averaged[f"module.{name}"]) / 2)
    assert not all(torch.equal(value, start[name]) for name, value in kept.items())


def test_more_ways_can_train_than_are_validated(make_config: MakeConfig) -> None:
    config = make_config({"validation": {"n_way": 2, "k_shot": 1}})
    train(config, quiet)
    assert len(records(config, "validation")) == 2


def test_thinned_frames_train_whisper_and_are_refused_elsewhere(make_config: MakeConfig) -> None:
    thin = {"augment": {"frame_keep_ratio": 0.5}, "episodes": {"count": 3}}
    train(make_config(thin), quiet)
    with pytest.raises(InputError, match=r"augment.frame_keep_ratio is for Whisper only and this backbone is wav2vec2"):
        train(make_config({**thin, "out": "elsewhere"}, "wav2vec2"), quiet)


def test_gradient_checkpointing_changes_nothing(make_config: MakeConfig, tmp_path: Path) -> None:
    configs = [
        make_config(
            {"out": str(tmp_path / str(on)), "gradient_checkpointing": on, "episodes": {"count": 3}}, "wav2vec2"
        )
        for on in (False, True)
    ]
    for config in configs:
        train(config, quiet)
    plain, checkpointed = map(final_weights, configs)
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)


@pytest.mark.parametrize("backbone", ["whisper", "wav2vec2"])
def test_half_precision_trains(make_config: MakeConfig, backbone: str) -> None:
    config = make_config({"precision": "bf16", "episodes": {"count": 3}}, backbone)
    train(config, quiet)
    assert all(np.isfinite(record["gradient_norm"]) for record in records(config, "step"))


@pytest.mark.parametrize("supported", [True, False])
def test_bf16_without_arithmetic_for_it_is_reported(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, supported: bool
) -> None:
    monkeypatch.setattr("metaser.toolkit.training.run.computes_bfloat16", lambda _: supported)
    said: list[str] = []
    train(make_config({"precision": "bf16", "episodes": {"count": 1}}), said.append)
    assert said[0].startswith("this CPU has no bf16 arithmetic") == (not supported)


def test_a_run_without_patience_left_stops(make_config: MakeConfig) -> None:
    config = make_config(
        {
            "optimiser": {"backbone_lr": 0.0, "head_lr": 0.0},
            "validation": {"every": 1, "patience": 2},
        }
    )
    train(config, quiet)
    assert len(records(config, "validation")) == 3


def test_without_validation_the_last_weights_are_kept(make_config: MakeConfig) -> None:
    config = make_config({"validation": {"every": 0}, "episodes": {"count": 2}})
    best = load_checkpoint(train(config, quiet))[0].state_dict()
    assert all(torch.equal(best[name], value) for name, value in final_weights(config).items())


def test_a_checkpoint_can_be_trained_on_if_the_settings_are_its_own(make_config: MakeConfig, tmp_path: Path) -> None:
    first = train(make_config({"episodes": {"count": 2}}), quiet)
    model = {"backbone": str(first)}
    train(make_config({"out": str(tmp_path / "again"), "episodes": {"count": 2}, "model": model}), quiet)
    for change in ({"head": "mean-fc"}, {"embedding_size": 4}, {"weighted_sum": True}):
        with pytest.raises(InputError, match=rf"model.{next(iter(change))} is .* was trained with"):
            train(make_config({"out": str(tmp_path / "other"), "model": {**model, **change}}), quiet)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"device": "cuda:99"}, MissingDependencyError, r"PyTorch sees \d+ CUDA devices"),
        ({"device": "quantum"}, InputError, "choose auto, cpu, cuda"),
        ({"precision": "fp16"}, InputError, "needs a CUDA device"),
        ({"episodes": {"k_shot": 30}}, InputError, r"3-way 30-shot .* needs 3 classes of at least 31 clips"),
        ({"data": {"validation_speakers": {}}}, InputError, "is of a validation speaker"),
        ({"data": {"validation_speakers": {"birds": ["z"]}}}, InputError, "birds has no speaker 'z'"),
        ({"data": {"validation_speakers": {"fish": ["a"]}}}, InputError, "names the corpus 'fish'"),
        ({"freeze": {"layers": 3}}, InputError, "has 2 layers"),
        ({"model": {"layers": 9}}, InputError, "has 3 layers"),
        ({"adversary": {"on": "language"}}, InputError, "clips have none"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line_and_writes_nothing(
    make_config: MakeConfig, changes: dict[str, Any], kind: type[MetaserError], message: str
) -> None:
    config = make_config(changes)
    with pytest.raises(kind, match=message):
        train(config, quiet)
    assert not config.out.exists()


def test_a_loss_that_is_not_finite_ends_the_run(make_config: MakeConfig) -> None:
    config = make_config({"optimiser": {"kind": "sgd", "head_lr": 1e30, "warmup": 0, "max_grad_norm": 0.0}})
    with pytest.raises(WorkError, match="not finite at step"):
        train(config, quiet)


def test_a_folder_that_holds_a_run_is_not_trained_over(make_config: MakeConfig) -> None:
    config = make_config({"episodes": {"count": 1}})
    train(config, quiet)
    with pytest.raises(InputError, match=r"already holds a run \(state.pt\): pass --resume"):
        train(config, quiet)


def test_other_settings_cannot_be_resumed(make_config: MakeConfig) -> None:
    train(make_config({"episodes": {"count": 4}}), quiet)
    with pytest.raises(InputError, match=r"episodes.k_shot was 2 and is 1"):
        train(make_config({"episodes": {"count": 4, "k_shot": 1}}), quiet, resume=True)
    with pytest.raises(InputError, match="of other clips"):
        train(
            make_config(
                {"episodes": {"count": 4}, "data": {"corpora": make_config().plain()["data"]["corpora"][::-1]}}
            ),
            quiet,
            resume=True,
        )


def test_a_damaged_state_is_named(make_config: MakeConfig) -> None:
    config = make_config({"episodes": {"count": 1}})
    train(config, quiet)
    state = config.out / "state.pt"
    whole = torch.load(state, weights_only=True)
    changes: list[dict[str, Any]] = [
        {"settings": ["a list"]},
        {"settings": torch.zeros(2)},
        {"settings": "{"},
        {"progress": {"step": "one"}},
        {"progress": None},
        {"parts": {}},
        {"parts": {**whole["parts"], "network": {"weight": torch.zeros(2)}}},
        {"parts": {**whole["parts"], "optimiser": {"state": 1}}},
    ]
    for change in changes:
        torch.save({**whole, **change}, state)
        with pytest.raises(InputError, match="is damaged or not a training state"):
            train(config, quiet, resume=True)
    content = state.read_bytes()
    for damaged in (b"nothing", content[:-9], content.replace(b"settings", b"sett\xb5ngs"), b"\x80\x02]q\x00."):
        state.write_bytes(damaged)
        with pytest.raises(InputError, match=r"is damaged|is not a training state"):
            train(config, quiet, resume=True)


def test_a_resumed_run_puts_in_order_what_a_killed_one_left(make_config: MakeConfig) -> None:
    config = make_config()
    with pytest.raises(KeyboardInterrupt):
        train(config, interrupt_at("step 4 of"))
    out = config.out
    (out / "best").rename(out / ".best.old")
    (out / ".best.new").mkdir()
    (out / ".state.pt.0123abcd.tmp").write_bytes(b"half of a state")
    with (out / "log.jsonl").open("a") as log:
        log.write('{"event": "st')
    train(config, quiet, resume=True)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    assert (out / "best" / "checkpoint.json").is_file()
    assert [record["step"] for record in records(config, "step")] == list(range(1, 9))
