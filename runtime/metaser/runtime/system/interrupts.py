"""Handling Ctrl-C in code that an exception must not interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended, by the convention of shells: 128 plus the signal's number."""


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Delay Ctrl-C until the block ends.

    This has an effect only in the main thread, in which Python runs signal handlers.
    """
    usual = signal.getsignal(signal.SIGINT)
    if not callable(usual) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[Any, ...]] = []
    signal.signal(signal.SIGINT, lambda *where: came.append(where))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if came:
        usual(*came[0])


@contextmanager
def interrupts_as_requests(*signals: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Yield a function: whether a signal was received. The first one raises nothing, a second one is handled as usual.

    This has an effect only in the main thread; in others the function always returns False.
    """
    came = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: came
        return
    usual = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def note(*_: object) -> None:
        nonlocal came
        came = True
        restore()

    for number in signals:
        signal.signal(number, note)
    try:
        yield lambda: came
    finally:
        restore()
