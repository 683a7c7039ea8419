"""Distillation: the loss by hand, and a student that learns a teacher's embeddings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from metaser.runtime.errors import InputError
from metaser.toolkit.config import Config
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.evaluation.embeddings import embed_by
from metaser.toolkit.model.checkpoint import load_checkpoint
from metaser.toolkit.training.distillation import distillation_loss, embed_by_teacher
from metaser.toolkit.training.train import train

MakeConfig: TypeAlias = Callable[..., Config]


def quiet(_line: str) -> None:
    pass


def losses(config: Config) -> list[float]:
    records = [json.loads(line) for line in (config.out / "log.jsonl").read_text().splitlines()]
    return [record["distil_loss"] for record in records if record["event"] == "step"]


def test_the_loss_is_the_mean_distance_of_directions() -> None:
    embeddings = torch.tensor([[2.0, 0.0], [0.0, 3.0], [3.0, 4.0]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    assert float(distillation_loss(embeddings, teacher)) == pytest.approx((0 + 1 + 0) / 3, abs=1e-6)


def test_the_teacher_embeds_whole_clips_as_it_always_does(make_config: MakeConfig, corpora: tuple[Path, ...]) -> None:
    config = make_config({"episodes": {"count": 2}})
    teacher = train(config, quiet)
    store = ClipStore(read_corpus(corpora[0]).utterances[:3], "memory", teacher)
    assert embed_by_teacher(config, store) is None
    rows = embed_by_teacher(make_config({"distil": {"teacher": str(teacher)}}), store)
    assert rows is not None
    network, _ = load_checkpoint(teacher)
    expected = embed_by(network, store.load(1))
    np.testing.assert_allclose(rows[1], expected / np.linalg.norm(expected), atol=1e-5)


def test_a_teacher_of_another_embedding_size_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    teacher = train(make_config({"episodes": {"count": 2}}), quiet)
    config = make_config(
        {"out": str(tmp_path / "student"), "model": {"embedding_size": 4}, "distil": {"teacher": str(teacher)}}
    )
    with pytest.raises(InputError, match=r"set model\.embedding_size"):
        train(config, quiet)


def test_a_student_approaches_its_teacher(make_config: MakeConfig, tmp_path: Path) -> None:
    teacher = train(make_config({"episodes": {"count": 10}}), quiet)
    student: dict[str, Any] = {
        "out": str(tmp_path / "student"),
        "model": {"layers": 1},
        "episodes": {"count": 40},
        "distil": {"teacher": str(teacher)},
    }
    config = make_config(student)
    train(config, quiet)
    found = losses(config)
    assert np.mean(found[-5:]) < 0.7 * np.mean(found[:5])
