"""Try what a service must not do, and print what was refused: `python attempts_worker.py ADDRESS`.

ADDRESS is one outside localhost on which port 8000 answers.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000
"""Of unshare(2): the only namespace that a process without rights may make."""


def new_namespace() -> None:
    """Make a user namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")


def is_refused(attempt: Callable[[], object]) -> bool:
    """Whether an attempt fails with an error of the system."""
    try:
        attempt()
    except OSError:
        return True
    return False


def main() -> None:
    """Make the attempts."""
    attempts: dict[str, Callable[[], object]] = {
        "write to /etc": lambda: Path("/etc/new").touch(),
        "write to /opt": lambda: Path("/opt/metaser/new").touch(),
        "write to /home": lambda: Path("/home/new").touch(),
        "reach another address": lambda: socket.create_connection((sys.argv[1], 8000), 3),
        "make a namespace": new_namespace,
        "become root": lambda: os.setuid(0),
    }
    print(json.dumps([name for name, attempt in attempts.items() if is_refused(attempt)]))


if __name__ == "__main__":
    main()
