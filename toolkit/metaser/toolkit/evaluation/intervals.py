"""Statistics of the protocol: intervals over episodes and over speakers, and unweighted average recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.errors import InputError

Z_95 = 1.96
"""Standard deviations on each side of the mean that cover 95 % of a normal distribution."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is decided, that is, the interval excludes zero."""
        return self.low > 0 or self.high < 0


def episode_interval(values: npt.ArrayLike) -> Interval:
    """mean ± 1.96 · sigma / sqrt(n) over the values of n episodes, [n], with the sample standard deviation.

    Raises:
        InputError: fewer than two values, or not [n].
    """
    array = _vector(values, "episode values")
    if len(array) < 2:
        raise InputError(f"an interval over episodes needs at least 2 of them, there are {len(array)}")
    mean = float(array.mean())
    half = Z_95 * float(array.std(ddof=1)) / len(array) ** 0.5
    return Interval(mean, mean - half, mean + half)


def paired_interval(values: npt.ArrayLike, others: npt.ArrayLike) -> Interval:
    """The interval over episodes of values - others, both [n], of two methods on the same n episodes.

    Raises:
        InputError: fewer than two values, or the numbers of episodes differ.
    """
    array, other = _vector(values, "values"), _vector(others, "other values")
    _check_lengths(array, other, "paired values")
    return episode_interval(array - other)


def speaker_interval(
    values: npt.ArrayLike, speakers: npt.ArrayLike, *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """The percentile interval of the mean over queries when speakers, not queries, are resampled (cluster bootstrap).

    `values` [queries] is each query's correctness (0 or 1), or the difference of two methods' correctness for a paired
    interval; `speakers` [queries] names the speaker, unique across corpora. All queries of a drawn speaker are used.

    Raises:
        InputError: fewer than two speakers, or the numbers of values and speakers differ.
    """
    array, people = _vector(values, "query values"), np.asarray(speakers)
    _check_lengths(array, people, "query values and speakers")
    names, number = np.unique(people, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"a bootstrap over speakers needs at least 2 of them, there are {len(names)}")
    totals = np.bincount(number, weights=array)  # [speakers]
    counts = np.bincount(number)  # [speakers]
    shares = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), shares, size=resamples)  # [resamples, speakers]
    means = drawn @ totals / (drawn @ counts)  # [resamples]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(array.mean()), float(low), float(high))


def interval_over_speakers(values: npt.ArrayLike, speakers: Sequence[str]) -> Interval | None:
    """`speaker_interval` of values [queries]; None with only one speaker, or if one of them is unknown ("")."""
    if len(set(speakers)) < 2 or "" in speakers:
        return None
    return speaker_interval(values, speakers)


def unweighted_recall(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> float:
    """The mean over classes of the share of correct queries per class; both [queries], names or numbers.

    Raises:
        InputError: there are no queries, or the numbers of targets and predictions differ.
    """
    target, prediction = np.asarray(targets), np.asarray(predictions)
    _check_lengths(target, prediction, "targets and predictions")
    if not len(target):
        raise InputError("unweighted recall needs at least 1 query, there are 0")
    names, number = np.unique(target, return_inverse=True)
    correct = np.bincount(number, weights=target == prediction, minlength=len(names))  # [classes]
    return float(np.mean(correct / np.bincount(number)))


def _vector(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(f"{name} are of shape {array.shape}: give a flat list")
    return array


def _check_lengths(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic], name: str) -> None:
    if first.shape != second.shape:
        raise InputError(f"{name} differ in number: {first.shape} and {second.shape}")
