"""Kill commands at any moment: they must leave either the old files or the complete new files.

Half of the kills are distributed evenly over the run of a command. The other half target its writing: they come soon
after the first change in its folder. One command in five starts in its own process. The others, and all that need
PyTorch, start in a fork of a process that has already loaded the libraries.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.robustness.commands import COMMANDS, Command

POLL_S = 0.0003
REHEARSALS = 2
OWN_PROCESS_EVERY = 5
KEPT = 40


@dataclass(frozen=True)
class Rehearsal:
    """A complete run of a command: its duration, and when it begins to write."""

    seconds: float
    quiet_s: float
    """Time to the first change in its folder."""


def run_kills(work: Path, count: int) -> dict[str, Any]:
    """Kill each command this number of times, and report the problems."""
    began = time.perf_counter()
    figures = {}
    for command in (make(work / "scratch" / "kills") for make in COMMANDS):
        figures[command.name] = kills_of(command, count // len(COMMANDS))
    findings: Counter[str] = Counter()
    for found in figures.values():
        findings.update(found["findings"])
    return {
        "cases": sum(found["kills"] for found in figures.values()),
        "seconds": round(time.perf_counter() - began, 1),
        "findings": dict(findings),
        "commands": figures,
    }


def kills_of(command: Command, count: int, *, copies: bool = True) -> dict[str, Any]:
    """Kill one command this number of times; without `copies` each runs in its own process."""
    began = time.perf_counter()
    ways = {True: copies, False: command.own_process or not copies}
    typical = {copied: rehearse_often(command, copied=copied) for copied, wanted in ways.items() if wanted}
    left: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    listed = []
    for seed in range(count):
        rng = random.Random(f"{command.name} {seed}")
        command.begin()
        killed = _kill(command, rng, typical, seed)
        state, wrong = command.look()
        left[state if killed else f"{state}, was over"] += 1
        findings.update(sort for sort, _ in wrong)
        listed += [{"seed": seed, "sort": sort, "message": message} for sort, message in wrong]
    return {
        "kills": count,
        "seconds": round(time.perf_counter() - began, 1),
        "whole_run_s": {("copy" if copied else "process"): round(run.seconds, 3) for copied, run in typical.items()},
        "left": dict(left),
        "findings": dict(findings),
        "listed": listed[:KEPT],
    }


def rehearse_often(command: Command, *, copied: bool) -> Rehearsal:
    """The median of some complete runs."""
    runs = [_rehearse(command, copied=copied) for _ in range(REHEARSALS)]
    return Rehearsal(statistics.median(run.seconds for run in runs), statistics.median(run.quiet_s for run in runs))


def _rehearse(command: Command, *, copied: bool) -> Rehearsal:
    """Run a command to its end, and store its files as the expected result."""
    command.begin()
    began, before = time.perf_counter(), _names(command.folder)
    process = Process(command, copied=copied)
    _wait_for_change(command, process, before)
    quiet_s = time.perf_counter() - began
    while not process.is_over():
        time.sleep(POLL_S)
    seconds = time.perf_counter() - began
    command.remember()
    return Rehearsal(seconds, min(quiet_s, seconds))


def _kill(command: Command, rng: random.Random, typical: dict[bool, Rehearsal], seed: int) -> bool:
    """Start a command and kill it; return whether it was still running."""
    copied = (len(typical) == 2 and seed % OWN_PROCESS_EVERY != 0) or False not in typical
    run, before = typical[copied], _names(command.folder)
    process = Process(command, copied=copied)
    if seed % 2:
        time.sleep(rng.uniform(0, run.seconds))
    else:
        _wait_for_change(command, process, before)
        share = rng.random() ** 4 if command.own_process else rng.random()  # most commands write at once
        time.sleep(share * (run.seconds - run.quiet_s))
    if process.is_over():
        return False
    process.kill()
    return True


def _wait_for_change(command: Command, process: Process, before: set[tuple[str, int]]) -> None:
    """Wait until the folder changes, or the command ends."""
    while _names(command.folder) == before and not process.is_over():
        time.sleep(POLL_S)


class Process:
    """A started command, which is waited for exactly once."""

    def __init__(self, command: Command, *, copied: bool) -> None:
        self._id = command.start(copied=copied)
        self._over = False

    def is_over(self) -> bool:
        """Whether it has ended."""
        self._over = self._over or os.waitpid(self._id, os.WNOHANG)[0] != 0
        return self._over

    def kill(self) -> None:
        """End it at once."""
        os.kill(self._id, signal.SIGKILL)
        os.waitpid(self._id, 0)
        self._over = True


def _names(folder: Path) -> set[tuple[str, int]]:
    """The files in a folder and in its folders, with their inodes: a rename changes them as well."""
    found = set()
    for entry in os.scandir(folder):
        found.add((entry.name, entry.inode()))
        if entry.is_dir(follow_symlinks=False):
            with suppress(FileNotFoundError):
                found |= _names(Path(entry.path))
    return found
