"""Logs of a run: JSON lines, and the same numbers for TensorBoard."""

import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from metaser.toolkit.config import Config
from metaser.toolkit.training import logs
from metaser.toolkit.training.train import train

MakeConfig: TypeAlias = Callable[..., Config]
FEW: dict[str, Any] = {"episodes": {"count": 4}, "validation": {"every": 2}}


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def points(out: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag to (step, value), as TensorBoard reads a folder of event files."""
    board = EventAccumulator(str(out / "tensorboard"))
    board.Reload()
    return {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def numbers(out: Path, event: str, name: str) -> list[tuple[int, Any]]:
    """The same of the JSON lines, within the float32 of event files."""
    return [(record["step"], pytest.approx(record[name])) for record in records(out) if record["event"] == event]


def test_tensorboard_holds_every_number_of_the_json_lines(make_config: MakeConfig) -> None:
    config = make_config(FEW)
    train(config, lambda _: None)
    found = points(config.out)
    for name in ("loss", "accuracy", "scale", "gradient_norm", "lr_factor", "seconds", "waited_s"):
        assert found[f"step/{name}"] == numbers(config.out, "step", name)
        assert len(found[f"step/{name}"]) == 4
    for name in ("accuracy", "low", "high"):
        assert found[f"validation/{name}"] == numbers(config.out, "validation", name)


def test_steps_that_a_resumed_run_does_again_are_there_once(tmp_path: Path) -> None:
    for step, total in ((3, 4), (2, 4)):
        time.sleep(1.1)  # the names of TensorBoard's files count seconds, and it reads them in the order of their names
        with logs.TrainingLog(tmp_path, total, step - 1, lambda _: None, quiet=False) as log:
            for number in range(step, total + 1):
                log.write("step", step=number, loss=float(10 * step + number))
    assert points(tmp_path)["step/loss"] == [(2, 22.0), (3, 23.0), (4, 24.0)]
    assert [record["loss"] for record in records(tmp_path)] == [22.0, 23.0, 24.0]


def test_without_tensorboard_a_run_trains_and_notes_what_is_missing(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(logs, "find_spec", lambda name: None if name == "tensorboard" else find(name))
    config = make_config(FEW)
    train(config, lambda _: None)
    assert records(config.out)[0]["text"] == "no TensorBoard: pip install tensorboard"
    assert len(numbers(config.out, "step", "loss")) == 4
    assert not (config.out / "tensorboard").exists()
