"""Inner splits and masks: properties of every step, for any support set."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime.errors import InputError, SupportError
from metaser.runtime.tuning.steps import (
    MaskSettings,
    Method,
    StepSampler,
    TuningStep,
    cut_in_time,
    hide_frames,
    inner_halves,
)

NO_MASKS = MaskSettings(stripes=0)
MASKS = st.builds(
    MaskSettings,
    stripes=st.integers(0, 4),
    stripe_share=st.floats(0, 1),
    frame_dropout=st.floats(0, 1),
)


@st.composite
def support_sets(draw: st.DrawFn, fewest: int = 1) -> tuple[list[int], list[int]]:
    """Targets in any order, and frame lengths."""
    counts = draw(st.lists(st.integers(fewest, 6), min_size=2, max_size=5))
    targets = draw(st.permutations([number for number, count in enumerate(counts) for _ in range(count)]))
    return targets, draw(st.lists(st.integers(1, 30), min_size=len(targets), max_size=len(targets)))


def sampler(
    targets: list[int], lengths: list[int], method: Method, seed: int = 0, masks: MaskSettings | None = None
) -> StepSampler:
    return StepSampler(np.array(targets), np.array(lengths), method, seed, masks or MaskSettings())


def equal(first: TuningStep, second: TuningStep) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in vars(first))


@settings(deadline=None)
@given(
    method=st.sampled_from(get_args(Method)),
    support=support_sets(fewest=2),
    masks=MASKS,
    seed=st.integers(0, 2**32),
    index=st.integers(0, 10**6),
)
def test_every_step_weighs_every_class_and_leaves_every_row_a_frame(
    method: Method, support: tuple[list[int], list[int]], masks: MaskSettings, seed: int, index: int
) -> None:
    targets, lengths = np.array(support[0]), np.array(support[1])
    step = sampler(*support, method, seed, masks).draw(index)
    classes = targets.max() + 1
    assert step.frame_mask.shape == (len(step.rows), lengths.max())
    assert step.support_weights.shape == (classes, len(step.rows))
    assert set(np.unique(step.frame_mask)) <= {0.0, 1.0}
    assert (step.frame_mask.sum(1) >= 1).all()
    beyond = np.arange(lengths.max()) >= lengths[step.rows][:, None]
    assert not step.frame_mask[beyond].any()
    np.testing.assert_allclose(step.support_weights.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(step.query_weights.sum(0), 1 / classes, rtol=1e-6)
    is_support, is_query = step.support_weights.any(0), step.query_weights.any(1)
    assert (is_support ^ is_query).all()  # a row is in one of the two
    np.testing.assert_array_equal(step.support_weights.argmax(0)[is_support], targets[step.rows[is_support]])
    np.testing.assert_array_equal(step.query_weights.argmax(1)[is_query], targets[step.rows[is_query]])


@given(support=support_sets(fewest=2), index=st.integers(0, 100))
def test_split_uses_every_clip_once_in_inner_support_or_inner_query(
    support: tuple[list[int], list[int]], index: int
) -> None:
    step = sampler(*support, "split").draw(index)
    assert sorted(step.rows) == list(range(len(support[0])))


def test_split_halves_a_class_of_five_in_three_and_two() -> None:
    targets = np.repeat([0, 1], 5)
    support, query = inner_halves(targets, np.random.default_rng(0))
    assert (np.bincount(targets[support]).tolist(), np.bincount(targets[query]).tolist()) == ([3, 3], [2, 2])
    assert not set(support) & set(query)


def test_pmf_has_clean_prototypes_and_masked_queries() -> None:
    step = sampler([0, 1, 0, 1], [20, 10, 20, 20], "pmf", masks=MaskSettings(frame_dropout=0.5)).draw(0)
    assert step.rows.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert step.frame_mask[:4].sum(1).tolist() == [20, 10, 20, 20]
    assert (step.frame_mask[4:].sum(1) < [20, 10, 20, 20]).all()
    np.testing.assert_allclose(step.support_weights[:, :4], [[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5]])
    np.testing.assert_allclose(step.query_weights[4:], [[0.25, 0], [0, 0.25], [0.25, 0], [0, 0.25]])


def test_classes_of_unequal_size_count_the_same() -> None:
    step = sampler([0, 0, 0, 1], [5] * 4, "pmf").draw(0)
    np.testing.assert_allclose(step.support_weights[0, :3], 1 / 3)
    np.testing.assert_allclose(step.query_weights[4:].max(1), [1 / 6, 1 / 6, 1 / 6, 1 / 2])


@given(lengths=st.lists(st.integers(2, 40), min_size=2, max_size=8), seed=st.integers(0, 1000))
def test_cutting_in_time_gives_two_disjoint_contiguous_parts_that_make_the_clip(lengths: list[int], seed: int) -> None:
    whole = np.arange(max(lengths)) < np.array(lengths)[:, None]
    first, second = cut_in_time(whole, np.random.default_rng(seed))
    np.testing.assert_array_equal(first ^ second, whole)
    for part in (first, second):
        assert (part.sum(1) >= np.maximum(1, np.array(lengths) // 3)).all()
        assert (np.abs(np.diff(part.astype(int), axis=1, prepend=0, append=0)).sum(1) == 2).all()


def test_a_clip_of_one_frame_is_its_own_inner_support_and_query() -> None:
    step = sampler([0, 1], [1, 1], "time").draw(0)
    assert step.frame_mask.tolist() == [[1.0]] * 4


@pytest.mark.parametrize("method", ["time", "views"])
def test_one_clip_a_class_gives_it_twice_in_two_views(method: Method) -> None:
    step = sampler([0, 1], [30, 30], method, masks=MaskSettings(frame_dropout=0.3)).draw(0)
    assert step.rows.tolist() == [0, 1, 0, 1]
    assert not np.array_equal(step.frame_mask[:2], step.frame_mask[2:])
    if method == "time":
        assert not (step.frame_mask[:2] * step.frame_mask[2:]).any()


def test_stripes_hide_contiguous_frames_up_to_their_share() -> None:
    whole = np.ones((200, 50), np.bool_)
    kept = hide_frames(whole, np.random.default_rng(0), MaskSettings(stripes=1, stripe_share=0.2))
    hidden = (~kept).sum(1)
    assert set(hidden) <= set(range(11))
    assert hidden.max() >= 9
    assert (np.abs(np.diff((~kept).astype(int), axis=1, prepend=0, append=0)).sum(1) <= 4).all()  # one frame is saved


def test_hiding_everything_leaves_one_frame_that_varies() -> None:
    kept = hide_frames(np.ones((50, 20), np.bool_), np.random.default_rng(0), MaskSettings(frame_dropout=1.0))
    assert (kept.sum(1) == 1).all()
    assert len(set(kept.argmax(1))) > 5


def test_a_step_depends_on_seed_and_index_alone() -> None:
    targets, lengths = [0, 1] * 5, [25] * 10
    steps = [sampler(targets, lengths, "split", seed).draw(index) for seed in (0, 1) for index in (0, 1)]
    assert equal(steps[1], sampler(targets, lengths, "split").draw(1))
    assert not any(equal(first, second) for i, first in enumerate(steps) for second in steps[:i])


def test_without_masks_every_frame_stays() -> None:
    step = sampler([0, 0, 1, 1], [7] * 4, "split", masks=NO_MASKS).draw(3)
    assert step.frame_mask.all()


@pytest.mark.parametrize(
    ("targets", "lengths", "method", "words"),
    [
        ([0, 0, 1], [5, 5, 5], "split", "`time` or `views`"),
        ([0, 0], [5, 5], "pmf", "two classes"),
        ([0, 2], [5, 5], "pmf", r"\[1, 0, 1\]"),
        ([0, 1], [5, 0], "views", "no frames"),
    ],
)
def test_support_sets_that_cannot_be_tuned_on_are_refused(
    targets: list[int], lengths: list[int], method: Method, words: str
) -> None:
    with pytest.raises(SupportError, match=words):
        sampler(targets, lengths, method)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="choose one of pmf, split, time, views"):
        sampler([0, 1], [5, 5], "none")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="2 targets and 1 frame"):
        sampler([0, 1], [5], "pmf")
    with pytest.raises(InputError, match=r"stripe_share is 1\.5"):
        MaskSettings(stripe_share=1.5)
    with pytest.raises(InputError, match="stripes is -1"):
        MaskSettings(stripes=-1)
