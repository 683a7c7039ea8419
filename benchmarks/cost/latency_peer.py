"""Run models in separate processes, in turn over one clip, so that noise affects all equally."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

WORKER = Path(__file__).with_name("latency_worker.py")


@dataclass(frozen=True)
class Peer:
    """One way to run a model."""

    name: str
    kind: str
    """A kind of model that the worker loads."""
    path: Path | str
    python: str = sys.executable
    env: Mapping[str, str] = field(default_factory=dict)


class FailedPeerError(RuntimeError):
    """The process of a peer ended; the message is its last output."""


class Running:
    """The loaded process of a peer; a context manager that ends it."""

    def __init__(self, peer: Peer, threads: int) -> None:
        self.peer = peer
        self._stderr: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 # closed on exit
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", **peer.env}
        words = [peer.python, str(WORKER), peer.kind, str(peer.path), str(threads)]
        self._child = subprocess.Popen(
            words, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
        )
        loaded = self._answer()
        self.load_s: float = loaded["load_s"]
        self.precision: str = loaded["precision"]

    def run(self, seconds: float) -> dict[str, float]:
        """`ms` of one run over a clip of this length, and `peak_mb` of the process so far.

        Raises:
            FailedPeerError: the process has ended.
        """
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # its last output is more informative
            self._child.stdin.write(f"{seconds}\n")
            self._child.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        if not (line := self._child.stdout.readline()):
            self._child.wait()
            self._stderr.seek(0)
            printed = [text for text in self._stderr.read().splitlines() if text.strip()]
            self._close()
            raise FailedPeerError(printed[-1] if printed else f"exit code {self._child.returncode}")
        return json.loads(line)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        """Close its input, which ends the process."""
        for pipe in (self._child.stdin, self._child.stdout, self._stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self._child.wait()


@dataclass
class Timed:
    """The runs of a peer over clips of one length."""

    first_ms: float
    """The warm-up run, including compilation if the peer compiles."""
    times_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    """Peak memory of its process so far."""

    @property
    def median_ms(self) -> float:
        """Median of all runs except the first."""
        return statistics.median(self.times_ms)


def start(peers: Sequence[Peer], threads: int, stack: ExitStack) -> tuple[dict[str, Running], dict[str, str]]:
    """The processes of the peers by name, and the reasons of those that did not start."""
    running: dict[str, Running] = {}
    failures: dict[str, str] = {}
    for peer in peers:
        with _kept(failures, peer.name):
            running[peer.name] = stack.enter_context(Running(peer, threads))
    return running, failures


def time_in_turn(running: dict[str, Running], seconds: float, runs: int) -> tuple[dict[str, Timed], dict[str, str]]:
    """Run all peers in turn, `runs` times after a warm-up run; failed peers are removed, with their reasons."""
    timed: dict[str, Timed] = {}
    failures: dict[str, str] = {}
    for number in range(runs + 1):
        for name, own in running.items():
            with _kept(failures, name):
                answer = own.run(seconds)
                if number:
                    timed[name].times_ms.append(answer["ms"])
                    timed[name].peak_mb = answer["peak_mb"]
                else:
                    timed[name] = Timed(answer["ms"])
        for name in failures:
            running.pop(name, None)
            timed.pop(name, None)
    return timed, failures


@contextmanager
def _kept(failures: dict[str, str], name: str) -> Iterator[None]:
    try:
        yield
    except FailedPeerError as error:
        failures[name] = str(error)


def paired_ratio(others_ms: Sequence[float], own_ms: Sequence[float]) -> float:
    """Speed-up: the median of the ratios of adjacent runs."""
    return statistics.median(theirs / ours for theirs, ours in zip(others_ms, own_ms, strict=True))
