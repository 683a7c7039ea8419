"""Several processes: the episodes of a step are distributed, and the weights equal those of one process."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

from metaser.runtime.errors import InputError
from metaser.toolkit.config import Config
from metaser.toolkit.training.distributed import Processes
from metaser.toolkit.training.train import train

MakeConfig: TypeAlias = Callable[..., Config]

SETTINGS: dict[str, Any] = {
    "model": {"weighted_sum": True},
    "adversary": {"on": "corpus", "weight": 0.5, "schedule": "constant"},
    "optimiser": {
        "kind": "sgd",
        "gradient_accumulation": 2,
        "warmup": 0,
        "backbone_lr": 0.1,
        "head_lr": 0.1,
        "max_grad_norm": 0.1,
    },
    "episodes": {"count": 2},
    "validation": {"every": 2},
    "device": "cpu",
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def launch(config_file: Path, count: int) -> subprocess.CompletedProcess[str]:
    """The documented command; without GPUs its processes communicate through gloo."""
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count),
        "--main_process_port", str(free_port()), "-m", "metaser.toolkit.training.train", str(config_file),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_two_processes_make_the_step_of_one_with_the_same_episodes(
    make_config: MakeConfig, to_toml: Callable[[Config], str], saved: Callable[[str], Any], tmp_path: Path
) -> None:
    alone = make_config({**SETTINGS, "out": str(tmp_path / "alone")}, "wav2vec2")
    train(alone, lambda _: None)
    shared = make_config({**SETTINGS, "out": str(tmp_path / "shared")}, "wav2vec2")
    config_file = tmp_path / "shared.toml"
    config_file.write_text(to_toml(shared))
    done = launch(config_file, 2)

    assert done.returncode == 0, done.stderr
    assert done.stderr.count(": validation") == 1  # only one process prints
    one, two = (torch.load(config.out / "state.pt", weights_only=True) for config in (alone, shared))
    for part in ("network", "discriminator"):
        for name, expected in one["parts"][part].items():
            torch.testing.assert_close(two["parts"][part][name], expected, rtol=0, atol=1e-6)
    records = map(json.loads, (shared.out / "log.jsonl").read_text().splitlines())
    assert next(record["processes"] for record in records if record["event"] == "start") == 2
    before = saved("wav2vec2").backbone(2).state_dict()
    moved = [float((one["parts"]["network"][f"backbone.{name}"] - value).abs().max()) for name, value in before.items()]
    assert max(moved) > 1e-4  # far above the tolerance
    assert one["progress"]["best"] == pytest.approx(two["progress"]["best"])


def test_a_step_has_an_episode_for_every_process(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_three(self: Processes, _device: str) -> None:
        self.count, self.rank, self.device = 3, 0, torch.device("cpu")

    monkeypatch.setattr(Processes, "__init__", of_three)
    with pytest.raises(InputError, match="3 processes share the 1 episodes of a step"):
        train(make_config(), lambda _: None)


def test_items_are_shared_out_without_gaps() -> None:
    processes = Processes("cpu")
    shares = []
    for rank in range(3):
        processes.rank, processes.count = rank, 3
        shares.append(processes.own(range(10, 17)))
    assert sorted(index for share in shares for index in share) == list(range(10, 17))
