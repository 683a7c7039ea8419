"""Turns at the processor: never more at once than allowed, first come first served, and none lost to Ctrl-C."""

import threading
import time
from collections.abc import Callable

import pytest

from metaser.runtime.stream.turns import Turns


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until(true: Callable[[], object]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    raise TimeoutError


@pytest.mark.parametrize("count", [1, 3])
def test_never_more_at_once_than_there_are_turns(count: int) -> None:
    turns, inside, most, lock = Turns(count), [0], [0], threading.Lock()

    def work() -> None:
        for _ in range(20):
            with turns:
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                with lock:
                    inside[0] -= 1

    threads = [started(work) for _ in range(8)]
    for thread in threads:
        thread.join(10)
    assert (inside[0], most[0]) == (0, count)


def test_the_first_to_ask_is_the_first_to_work() -> None:
    turns, order = Turns(1), []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        threads = []
        for number in range(10):
            threads.append(started(lambda number=number: work(number)))  # type: ignore[misc]
            until(lambda number=number: len(turns._waiting) == number + 1)  # type: ignore[misc]
    for thread in threads:
        thread.join(10)
    assert order == list(range(10))


def test_an_exception_inside_ends_the_turn() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="inside"), turns:
        raise ValueError("inside")
    with turns:
        pass


@pytest.mark.parametrize("given", [False, True])
def test_one_who_is_interrupted_while_waiting_takes_no_turn(given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(1)

    class InterruptedLock:
        """A lock whose second `acquire`, that of the waiting, is interrupted, before or after the turn came."""

        def __init__(self) -> None:
            self.calls = 0

        def acquire(self) -> None:
            self.calls += 1
            if self.calls == 2:
                if given:
                    turns.__exit__(None, None, None)  # the active one ends and passes on the turn
                raise KeyboardInterrupt

        def release(self) -> None:
            """No thread waits any more."""

    turns.__enter__()
    monkeypatch.setattr("metaser.runtime.stream.turns.Lock", InterruptedLock)
    with pytest.raises(KeyboardInterrupt):
        turns.__enter__()
    monkeypatch.undo()
    if not given:
        turns.__exit__(None, None, None)
    assert (turns._free, len(turns._waiting)) == (1, 0)
