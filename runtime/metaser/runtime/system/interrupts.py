"""Ctrl-C in code that cannot take an exception at any place."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended, as shells count: 128 and the number of the signal."""


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends.

    In the main thread alone, as Python runs the handlers of signals there.
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
    """Yield what tells whether one of the signals came; the first raises nothing, a second one is handled as usual.

    In the main thread alone; in others nothing comes.
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
