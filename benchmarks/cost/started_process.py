"""Measure a process from its start to its first line and its end, with its peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
answer = {"began": began, "ended": time.perf_counter(), "status": status, "peak_mb": usage.ru_maxrss / 1024}
os.write(int(sys.argv[1]), json.dumps(answer).encode())
"""
"""A child process inherits the peak memory of its parent, so a small launcher starts it."""


@dataclass(frozen=True)
class Started:
    """Times and memory of a process."""

    first_line_s: float
    """From its start to its first line on standard output; to its end if it prints none."""
    seconds: float
    """From its start to its end."""
    peak_mb: float
    first_line: str


def run_process(words: Sequence[str], env: Mapping[str, str]) -> Started:
    """Run a program that must succeed; `env` adds to this process's environment."""
    reading, writing = os.pipe()
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(writing), *words]
    with subprocess.Popen(
        launch, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[writing]
    ) as child:
        os.close(writing)
        assert child.stdout is not None
        line = child.stdout.readline()
        at_s = time.perf_counter()  # the clock of all processes
        _, said = child.communicate()
    with os.fdopen(reading) as answers:
        text = answers.read()
    answer = json.loads(text) if text else {"status": 1}
    assert answer["status"] == 0, (words, said)
    return Started(at_s - answer["began"], answer["ended"] - answer["began"], answer["peak_mb"], line)
