"""Keeping a C library's own messages off standard error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STANDARD_ERROR = 2
STDERR_LOCK = threading.RLock()
"""Held while descriptor 2 is discarded. Hold it to print: a line of another thread would be lost."""


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard what is written to descriptor 2 during the block, including Python's own output to it."""
    with STDERR_LOCK:
        try:
            before = os.dup(STANDARD_ERROR)
        except OSError:  # it is closed
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, STANDARD_ERROR)
            os.close(nowhere)
            yield
        finally:
            os.dup2(before, STANDARD_ERROR)
            os.close(before)
