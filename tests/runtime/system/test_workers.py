"""Work in several threads: results in order, few items ahead, and a clean end after an exception."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime import Engine, InputError
from metaser.runtime.bundles.bundle import shipped_folder
from metaser.runtime.system.workers import AHEAD, in_order


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 5))
def test_results_come_in_the_order_of_the_items(delays_ms: list[int], workers: int) -> None:
    def work(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 1000)
        return item[0]

    assert list(in_order(work, enumerate(delays_ms), workers)) == list(range(len(delays_ms)))


def test_workers_work_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)
    assert len(list(in_order(lambda _: together.wait(), range(3), 3))) == 3


def test_one_worker_works_in_the_callers_thread() -> None:
    assert list(in_order(lambda _: threading.get_ident(), [0], 1)) == [threading.get_ident()]


def test_only_a_few_items_are_begun_before_their_results_are_wanted() -> None:
    begun: list[int] = []
    results = in_order(begun.append, range(1000), 2)
    next(results)
    assert len(begun) <= AHEAD * 2 + 1
    results.close()  # type: ignore[attr-defined] # a generator


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_comes_when_its_item_is_due_and_nothing_more_is_begun(workers: int) -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError(item)
        return item

    results = in_order(work, range(1000), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        next(results)
    at_the_end = len(begun)
    assert at_the_end <= 3 + AHEAD * workers + 1
    assert [thread for thread in threading.enumerate() if thread.name.startswith("metaser")] == []
    assert len(begun) == at_the_end


def test_several_workers_enrol_the_same_profile_as_one() -> None:
    support = shipped_folder() / "demo" / "support"
    one, two = (Engine.open(threads=1, workers=workers).enroll(support) for workers in (1, 2))
    np.testing.assert_array_equal(one.embeddings, two.embeddings)
    assert one.clips == two.clips


@pytest.mark.parametrize("name", ["workers", "threads"])
@pytest.mark.parametrize("count", [0, 65, 10_000])
def test_counts_that_are_too_small_or_too_large_are_refused(name: str, count: int) -> None:
    with pytest.raises(InputError, match=f"{name} is {count}: give a whole number from 1 to 64"):
        Engine.open(**{name: count})  # type: ignore[arg-type] # both are int
