"""Tuning of a head and of a network on a support set."""

import copy
import time
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from metaser.runtime.errors import InputError, SupportError
from metaser.runtime.tuning.head import SupportFrames
from metaser.runtime.tuning.steps import MaskSettings, Method
from metaser.toolkit.evaluation.tuning import (
    Tuning,
    TuningSettings,
    head_steps,
    model_steps,
    tune_head,
    tune_model,
)
from metaser.toolkit.model.network import HEADS, Head, ProtoNet, make_head

WIDTH = 16
TARGETS = np.repeat([0, 1, 2], 4)


def support_of(targets: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int = 0, n: int = 12) -> SupportFrames:
    """Frames with a faint direction of their class under strong noise."""
    torch.manual_seed(seed)
    means = torch.randn(3, WIDTH)
    frames = means[torch.from_numpy(targets), None] + 2 * torch.randn(len(targets), n, WIDTH)
    lengths = np.array([n - number % 3 for number in range(len(targets))])
    return SupportFrames(frames.numpy(), lengths, targets)


def state(head: torch.nn.Module) -> list[Tensor]:
    return [value.clone() for value in head.state_dict().values()]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def a_head(kind: str = "glu") -> Head:
    torch.manual_seed(1)
    return make_head(kind, WIDTH, 8)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_lowers_the_loss_of_every_head(kind: str, method: Tuning) -> None:
    head = a_head(kind)
    losses = list(head_steps(head, support_of(TARGETS), TuningSettings(method, steps=40, learning_rate=0.01), 0))
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_tuning_leaves_the_given_head_as_it_was_and_repeats_exactly() -> None:
    head = a_head()
    before = state(head)
    settings = TuningSettings("split", steps=3)
    tuned = [tune_head(head, support_of(TARGETS), settings, seed) for seed in (0, 0, 1)]
    assert equal(state(head), before)
    assert not equal(state(tuned[0]), before)
    assert equal(state(tuned[0]), state(tuned[1]))
    assert not equal(state(tuned[0]), state(tuned[2]))


def test_none_changes_nothing() -> None:
    head = a_head()
    assert equal(state(tune_head(head, support_of(TARGETS), TuningSettings("none"), 0)), state(head))
    assert list(head_steps(head, support_of(TARGETS), TuningSettings("none"), 0)) == []


def test_the_first_pmf_step_without_masks_is_the_plain_loss_of_the_support_set() -> None:
    support = support_of(TARGETS)
    head = a_head()
    settings = TuningSettings("pmf", steps=1, masks=MaskSettings(stripes=0))
    (loss,) = head_steps(copy.deepcopy(head), support, settings, 0)
    with torch.no_grad():
        mask = (torch.arange(12) < torch.from_numpy(support.lengths)[:, None]).float()
        rows = head(torch.from_numpy(support.frames), mask)
        classes = torch.stack(
            [torch.nn.functional.normalize(rows[4 * number : 4 * number + 4].mean(0), dim=0) for number in range(3)]
        )
        logits = 10 * torch.nn.functional.normalize(rows, dim=-1) @ classes.T
        expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(TARGETS))
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_padding_and_frames_beyond_a_clip_never_matter() -> None:
    support = support_of(TARGETS)
    dirty = support.frames.copy()
    for row, length in enumerate(support.lengths):
        dirty[row, length:] = 1e3
    settings = TuningSettings("split", steps=2)
    clean = tune_head(a_head(), support, settings, 0)
    other = tune_head(a_head(), SupportFrames(dirty, support.lengths, TARGETS), settings, 0)
    for one, another in zip(state(clean), state(other), strict=True):
        torch.testing.assert_close(one, another)


def test_one_shot_works_with_time_and_views_and_is_refused_by_split() -> None:
    support = support_of(np.array([0, 1, 2]))
    for method in ("time", "views"):
        assert not equal(state(tune_head(a_head(), support, TuningSettings(method, steps=1), 0)), state(a_head()))
    with pytest.raises(SupportError, match="single clip"):
        tune_head(a_head(), support, TuningSettings("split"), 0)


def test_a_split_step_takes_at_most_six_tenths_of_the_time_of_a_pmf_step() -> None:
    """At the size of an episode: 4-way 5-shot, 2.5 s at 50 frames per second, width 512."""
    torch.manual_seed(0)
    head = make_head("glu", 512)
    support = SupportFrames(torch.randn(20, 125, 512).numpy(), np.full(20, 125), np.repeat(range(4), 5))

    def seconds(method: Tuning) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            tune_head(head, support, TuningSettings(method, steps=3), 0)
            times.append(time.perf_counter() - start)
        return min(times)

    assert min(seconds("split") / seconds("pmf") for _ in range(3)) < 0.6


def six_clips() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    lengths = torch.tensor([4000 - 300 * (number % 3) for number in range(6)])
    waveform = 0.1 * torch.randn(6, 4000)
    return waveform * (torch.arange(4000) < lengths[:, None]), lengths


@pytest.mark.parametrize("method", ["pmf", "split", "time", "views"])
def test_whole_network_tuning_changes_backbone_and_head_of_a_copy(network: ProtoNet, method: Tuning) -> None:
    before = state(network)
    settings = TuningSettings(method, steps=1)
    tuned = tune_model(network, six_clips(), np.repeat([0, 1], 3), settings, 0)
    assert equal(state(network), before)
    assert not equal(state(tuned.head), state(network.head))
    assert not equal(state(tuned.backbone), state(network.backbone))
    assert not tuned.training


def test_a_frozen_backbone_stays_and_none_leaves_the_whole_network(network: ProtoNet) -> None:
    network.backbone.requires_grad_(requires_grad=False)
    clips, targets = six_clips(), np.repeat([0, 1], 3)
    tuned = tune_model(network, clips, targets, TuningSettings("split", steps=1), 0)
    assert equal(state(tuned.backbone), state(network.backbone))
    assert not equal(state(tuned.head), state(network.head))
    assert equal(state(tune_model(network, clips, targets, TuningSettings("none"), 0)), state(network))


def test_without_masks_a_whole_network_step_begins_with_the_loss_of_a_head_step(network: ProtoNet) -> None:
    clips, targets = six_clips(), np.repeat([0, 1], 3)
    settings = TuningSettings("pmf", steps=1, masks=MaskSettings(stripes=0))
    with torch.no_grad():
        frames, lengths = network.backbone(*clips)
    support = SupportFrames(frames.numpy(), lengths.numpy(), targets)
    (by_head,) = head_steps(copy.deepcopy(network.head), support, settings, 0)
    (by_model,) = model_steps(copy.deepcopy(network), clips, targets, settings, 0)
    assert by_model == pytest.approx(by_head, rel=1e-5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "maml"}, "choose one of none, pmf, split, time, views"),
        ({"steps": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"backbone_learning_rate": -1.0}, "backbone_learning_rate is -1.0"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        TuningSettings(**wrong)  # type: ignore[arg-type]
