"""Use damaged checkpoints and settings of training runs; needs PyTorch."""

from __future__ import annotations

import io
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.robustness.bytes import damaged
from benchmarks.robustness.documents import changed, changed_json, changed_tensors, other_numbers, to_toml
from metaser.export.source import open_source
from metaser.toolkit.config import load_config
from metaser.toolkit.toml_config import read_toml
from metaser.toolkit.training.run import BEST, TrainingRun, prepare_run
from metaser.toolkit.training.state import STATE_FILE
from metaser.toolkit.training.train import episode_loss

PICKLES = (".bin", ".pt")
CLIP_SAMPLES = 8000
VALUES: tuple[Any, ...] = (
    None, 7, "text", [1, 2], {"a": 1}, torch.zeros(0), torch.tensor(float("nan")), torch.zeros(3, dtype=torch.int64),
    torch.zeros(2, 2, dtype=torch.complex64), torch.zeros(3, 3).to_sparse(), torch.ones(1).expand(1000, 1000, 1000),
    torch.zeros(2, dtype=torch.bool), torch.empty(2, 2, device="meta"),
)  # fmt: skip


def open_seeds(seeds: Path) -> list[Path]:
    """The folders to damage."""
    return [*sorted((seeds / "encoders").iterdir()), *sorted((seeds / "checkpoints").iterdir()), seeds / "run"]


def damage_folder(folder: Path, other: Path, rng: random.Random) -> None:
    """Change or remove one file of a model."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in {".json", ".safetensors", *PICKLES}]
    states = [path for path in files if path.name == STATE_FILE]
    path = rng.choice(states or files)
    content = path.read_bytes()
    if rng.random() < 0.05:
        path.unlink()
    elif rng.random() < 0.25:
        same = sorted(other.glob(f"*{path.suffix}"))
        path.write_bytes(damaged(content, rng.choice(same).read_bytes() if same else content, rng))
    elif path.suffix in PICKLES:
        path.write_bytes(_changed_pickle(content, rng))
    elif path.suffix == ".json":
        path.write_bytes(changed_json(content, rng))
    else:
        path.write_bytes(changed_tensors(content, rng))


def use_folder(folder: Path, rng: random.Random) -> None:
    """Open a model as `metaser export` does and embed a clip; resume a run as `metaser train --resume` does."""
    if (folder / BEST).is_dir():
        _use_run(folder)
        return
    network = open_source(str(folder), rng.choice((None, 1)), None).network
    with torch.no_grad():
        found = network.embed(torch.randn(1, CLIP_SAMPLES), torch.tensor([CLIP_SAMPLES]))
    assert found.shape[0] == 1


def changed_settings(path: Path, rng: random.Random) -> bytes:
    """A TOML file with changed content, or with damage."""
    if rng.random() < 0.2:
        content = path.read_bytes()
        return damaged(content, content, rng)
    change = rng.choice((changed, other_numbers, other_numbers))
    table = change(read_toml(path), rng)
    return to_toml(table) if isinstance(table, dict) else b""


def try_settings(path: Path, out: Path) -> None:
    """Read settings, set up the run, and compute the loss of an episode."""
    shutil.rmtree(out, ignore_errors=True)
    config = replace(load_config(path), out=out)
    config.plain()
    run = prepare_run(config, lambda _: None, resume=False)
    _try_run(run)


def _try_run(run: TrainingRun) -> None:
    loss, _ = episode_loss(run, run.maker.make(0), 0.0)
    loss.backward()
    run.optimiser.step()


def _use_run(folder: Path) -> None:
    config = load_config(folder.parents[2] / "seeds" / "configs" / "run.toml")
    _try_run(prepare_run(replace(config, out=folder), lambda _: None, resume=True))


def _changed_pickle(content: bytes, rng: random.Random) -> bytes:
    """A torch file with other content."""
    document = torch.load(io.BytesIO(content), weights_only=True)
    container: Any = document
    while isinstance(container, dict) and container:
        key = rng.choice(list(container))
        inner = container[key]
        if not isinstance(inner, dict) or not inner or rng.random() < 0.3:
            break
        container = inner
    if rng.random() < 0.2:
        del container[key]
    elif isinstance(inner, torch.Tensor) and rng.random() < 0.4:
        container[key] = rng.choice((inner.double(), inner.flatten(), inner * float("nan"), inner[None], inner.half()))
    else:
        container[key] = rng.choice(VALUES)
    file = io.BytesIO()
    torch.save(document, file)
    return file.getvalue()
