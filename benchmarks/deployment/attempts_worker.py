"""Try what a container or a service must not do, and print what was refused: `python attempts_worker.py [HOST PORT]`.

`FOLDER` is one that everybody may write, and `SETUID` a program there with which everybody is root. HOST and PORT are
outside, and answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path("/opt/open")
SETUID = FOLDER / "id"
CLONE_NEWUSER = 0x10000000
"""Of unshare(2): the only namespace that a process without rights may make."""


def make_namespace() -> None:
    """Make a user namespace."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")


def become_root() -> None:
    """Ask a program that runs as root who it is."""
    if subprocess.run([SETUID, "-u"], capture_output=True, text=True, check=False).stdout.strip() != "0":
        raise PermissionError


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
        "write outside its own folder": (FOLDER / f"new-{os.getpid()}").touch,
        "become root": become_root,
        "make a namespace": make_namespace,
    }
    if sys.argv[1:]:
        host, port = sys.argv[1:]
        attempts["reach another address"] = lambda: socket.create_connection((host, int(port)), 3)
    print(json.dumps([name for name, attempt in attempts.items() if is_refused(attempt)]))


if __name__ == "__main__":
    main()
