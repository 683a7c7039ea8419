"""Work on many items in several threads, with the results in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Items per worker that start before their result is needed: no worker waits, and memory use stays constant."""


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, by `workers` threads; one worker runs in the caller's thread.

    After an exception, Ctrl-C or `close()` of the iterator, no further item is started, and started items finish
    first. An exception of `work` is raised when the result of its item is due.
    """
    if workers == 1:
        yield from map(work, items)
        return
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="metaser") as threads:
        try:
            for item in items:
                begun.append(threads.submit(work, item))
                if len(begun) > AHEAD * workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
