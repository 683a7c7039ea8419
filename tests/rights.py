"""File permissions that also apply to root, who otherwise reads everything."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


@contextmanager
def without_rights(*paths: Path) -> Iterator[None]:
    """Inside the block this thread may not read these files and folders, even as root; other threads may."""
    if sys.platform == "win32":
        pytest.skip("rights are of POSIX")
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0)
    header, data = (ctypes.c_uint32 * 2)(VERSION, 0), (ctypes.c_uint32 * 6)()
    is_root = os.geteuid() == 0
    libc = ctypes.CDLL(None)
    if is_root and libc.capget(header, data):
        pytest.skip("root cannot give up its rights here")
    effective = data[0]
    try:
        if is_root:
            data[0] = effective & ~OVERRIDES
            libc.capset(header, data)
        yield
    finally:
        if is_root:
            data[0] = effective
            libc.capset(header, data)
        for path, mode in modes.items():
            path.chmod(mode)
