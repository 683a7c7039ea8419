"""Distillation: the regression and the joined embeddings by hand, and a student that is close to its teachers."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch

from metaser.runtime.errors import InputError
from metaser.toolkit.config import Config
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.evaluation.embeddings import embed_by
from metaser.toolkit.model.checkpoint import load_checkpoint
from metaser.toolkit.training.distillation import joined, ridge
from metaser.toolkit.training.train import train

MakeConfig: TypeAlias = Callable[..., Config]


def quiet(_line: str) -> None:
    pass


def test_the_regression_by_hand() -> None:
    inputs, targets = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [3.0], [5.0]])
    weight, bias = ridge(inputs, targets, 0.0)
    assert (weight.tolist(), bias.tolist()) == ([[2.0]], [1.0])
    weight, bias = ridge(inputs, targets, 1.0)  # the sum of squares is 2, and so is the penalty
    assert (weight.tolist(), bias.tolist()) == ([[1.0]], [2.0])


def test_the_regression_is_that_of_the_normal_equations() -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(50, 4)) * [1, 2, 3, 4] + 5, rng.normal(size=(50, 3))
    weight, bias = ridge(torch.from_numpy(inputs), torch.from_numpy(targets), 0.3)
    penalty = 0.3 * inputs.var(axis=0).mean() * 50
    one = np.hstack([inputs, np.ones((50, 1))])
    expected = np.linalg.solve(one.T @ one + penalty * np.diag([1, 1, 1, 1, 0]), one.T @ targets)
    np.testing.assert_allclose(weight.numpy(), expected[:4].T, atol=1e-5)
    np.testing.assert_allclose(bias.numpy(), expected[4], atol=1e-5)


def test_joined_embeddings_have_the_mean_of_the_cosines() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.nn.functional.normalize(torch.randn(20, 5, generator=generator), dim=1) for _ in range(2)]
    found = joined(rows, 10)
    expected = (rows[0] @ rows[0].T + rows[1] @ rows[1].T) / 2
    np.testing.assert_allclose((found @ found.T).numpy(), expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(joined(rows, 4).norm(dim=1).numpy(), 1, atol=1e-6)
    with pytest.raises(InputError, match=r"distil\.teachers give 10 entries for 20 clips: .* 10 at most, and is 11"):
        joined(rows, 11)


def test_a_student_without_steps_is_close_to_its_teacher(
    make_config: MakeConfig, corpora: tuple[Path, ...], tmp_path: Path
) -> None:
    teacher = train(make_config({"episodes": {"count": 10}, "model": {"embedding_size": 4}}), quiet)
    lines: list[str] = []
    student = train(
        make_config(
            {
                "out": str(tmp_path / "student"),
                "model": {"layers": 1, "embedding_size": 4},
                "episodes": {"count": 0},
                "distil": {"teachers": [str(teacher)], "ridge": 1e-6},
            }
        ),
        lines.append,
    )
    clips = ClipStore(read_corpus(corpora[0]).utterances, "memory", tmp_path)
    networks = [load_checkpoint(folder)[0] for folder in (teacher, student)]
    wanted, found = (
        np.stack([embed_by(network, clips.load(clip)) for clip in range(len(clips.utterances))]) for network in networks
    )
    wanted, found = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (wanted, found))
    assert np.corrcoef((wanted @ wanted.T).ravel(), (found @ found.T).ravel())[0, 1] > 0.8
    assert lines[-1].startswith("best: ")


def test_steps_bring_a_student_closer_to_its_teachers(
    make_config: MakeConfig, corpora: tuple[Path, ...], tmp_path: Path
) -> None:
    teacher = train(make_config({"episodes": {"count": 10}, "model": {"embedding_size": 4}}), quiet)

    def distance(steps: int) -> float:
        """1 minus the mean cosine to the teacher's, rotated as the regression aims at."""
        out = tmp_path / f"student {steps}"
        changes = {
            "out": str(out),
            "model": {"layers": 1, "embedding_size": 4},
            "episodes": {"count": steps},
            "validation": {"every": 0},
            "optimiser": {"head_lr": 1e-2, "warmup": 0, "schedule": "constant"},
            "distil": {"teachers": [str(teacher)], "ridge": 10.0, "weight": 1.0},
        }
        student = load_checkpoint(train(make_config(changes), quiet))[0]
        clips = ClipStore(read_corpus(corpora[0]).utterances, "memory", tmp_path)
        rows = [
            torch.from_numpy(np.stack([embed_by(each, clips.load(clip)) for clip in range(len(clips.utterances))]))
            for each in (load_checkpoint(teacher)[0], student)
        ]
        wanted, found = (torch.nn.functional.normalize(row, dim=1) for row in rows)
        return float((wanted @ wanted.T - found @ found.T).square().mean())

    assert distance(60) < 0.7 * distance(0)


def test_a_weight_without_teachers_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(InputError, match=r"distil.weight needs distil.teachers"):
        train(make_config({"distil": {"weight": 0.5}}), quiet)
