"""The workers of one machine: processes with one thread each, fed with groups and replaced if they die."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from metaser.archive.source.unit import Span
from metaser.archive.work.job import Fingerprint, Job
from metaser.archive.work.labeller import Group
from metaser.archive.work.record import Record, Row
from metaser.archive.work.shards import ShardWriter
from metaser.runtime.errors import InputError, MetaserError, MissingDependencyError, WorkError

EARLY_DEATHS = 5
"""If so many workers in a row die before they are ready, it is no coincidence."""

DEATHS = 3
"""A recording that ends so many workers, each of which had only this one, is given up."""

LOOK_S = 0.2  # between two looks at Ctrl-C
STOP_S = 10.0  # for a worker to write what it has
ERRORS: dict[int, type[MetaserError]] = {2: InputError, 3: MissingDependencyError}

Labelled: TypeAlias = "Callable[[int, int, float], object]"
"""Called with units, those without a label among them, and seconds of audio; below 0 for what has to be redone."""

FLUSH: Group = ("", ())
"""A group without units, which makes a worker write its shard."""


@dataclass
class _Task:
    """A group that a worker has begun."""

    path: str
    left: list[Span]
    """Its units that are not labelled yet."""


@dataclass
class _Unwritten:
    """What a worker has labelled that is not in a shard yet."""

    units: list[tuple[str, Span]] = field(default_factory=list)
    failed: int = 0
    audio_s: float = 0.0


@dataclass(eq=False)
class _Worker:
    """A process, and what it has to do and has done."""

    process: subprocess.Popen[str]
    begun: deque[_Task] = field(default_factory=deque)
    """In order."""

    unwritten: _Unwritten = field(default_factory=_Unwritten)
    is_ready: bool = False
    """It has opened the bundle, and has asked for a group."""

    wants_more: bool = False
    """It has decoded all it has, and asks for another group."""

    is_alone: bool = False
    """Its one group may be one that ends its worker; it gets no other before this one is in a shard."""

    is_finishing: bool = False
    listener: threading.Thread | None = None

    def send(self, **order: object) -> None:
        """Send an order; if the worker is dead, that is noticed when its output ends."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()

    def give(self, group: Group, *, alone: bool) -> None:
        """Give it a group."""
        self.begun.append(_Task(group[0], list(group[1])))
        self.is_alone = alone
        self.wants_more = False
        self.send(path=group[0], spans=list(group[1]), alone=alone)

    def close(self) -> int:
        """Wait until the process has ended, and return its exit code."""
        assert self.process.stdin is not None
        code = self.process.wait()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        if self.listener:
            self.listener.join()
        return code

    def finish(self) -> None:
        """Let it write what it has, and end."""
        self.is_finishing = True
        self.wants_more = False
        self.send(finish=True)


class LocalWorkers:
    """The worker processes of a job.

    If one dies, what it had labelled is labelled again. The groups that it had begun are labelled one by one: the one
    that ends its worker again and again is given up, and the others are not.
    """

    def __init__(self, job: Job, fingerprint: Fingerprint, out: Path, count: int) -> None:
        self._start = {"job": asdict(job), "out": str(out), "fingerprint": asdict(fingerprint)}
        self._writer = ShardWriter(out, fingerprint)
        self._count = count
        self._answers: SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = SimpleQueue()
        self._workers: list[_Worker] = []
        self._early_deaths = 0
        self._again: deque[Group] = deque()
        self._suspects: deque[Group] = deque()
        self._deaths: Counter[str] = Counter()  # path -> workers that died with it alone

    def label(self, groups: Iterable[Group], labelled: Labelled, is_stopped: Callable[[], bool]) -> None:
        """Label groups and write their shards; stop early if asked to, with what is labelled in shards.

        Raises:
            MetaserError: the work cannot go on; it is the error of a worker.
        """
        left = iter(groups)
        try:
            for _ in range(self._count):
                self._open()
            while self._workers and not is_stopped():
                for worker in self._workers:
                    self._feed(worker, left)
                with suppress(Empty):
                    self._take(*self._answers.get(timeout=LOOK_S), labelled)
            self._stop()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.close()

    def _open(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "metaser.archive.work.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        worker = _Worker(process)
        self._workers.append(worker)
        worker.send(**self._start)
        worker.listener = threading.Thread(target=self._listen, args=(worker,), daemon=True)
        worker.listener.start()

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        with worker.process.stdout as lines:
            for line in lines:
                if line.endswith("\n"):  # a killed worker may leave a part of a line
                    self._answers.put((worker, json.loads(line)))
        self._answers.put((worker, None))

    def _feed(self, worker: _Worker, left: Iterator[Group]) -> None:
        """Give a worker that asks for it the next group; a suspect only when all others of the worker are in shards."""
        if worker.is_alone or not worker.wants_more:
            return
        if self._suspects:
            if not worker.begun:
                worker.give(FLUSH if worker.unwritten.units else self._suspects.popleft(), alone=True)
        elif self._again:
            worker.give(self._again.popleft(), alone=False)
        elif (group := next(left, None)) is not None:
            worker.give(group, alone=False)
        elif not worker.begun:
            worker.finish()

    def _take(self, worker: _Worker, answer: dict[str, Any] | None, labelled: Labelled) -> None:
        """Handle an answer of a worker; None if it has ended."""
        if answer is None:
            self._ended(worker, labelled)
        elif "error" in answer:
            raise ERRORS.get(answer["exit_code"], WorkError)(answer["error"])
        elif "audio_s" in answer:
            self._count_step(worker, answer, labelled)
        elif "ended" in answer:
            worker.begun.popleft()
        elif "written" in answer:
            worker.unwritten = _Unwritten()
            worker.is_alone = bool(worker.is_alone and worker.begun)
        else:
            worker.is_ready = worker.wants_more = True
            self._early_deaths = 0

    def _ended(self, worker: _Worker, labelled: Labelled) -> None:
        """Replace a worker that died, also one that had nothing to do; not one that has finished."""
        how = _how(worker.close())
        self._workers.remove(worker)
        if not worker.is_ready:
            self._early_deaths += 1
            if self._early_deaths >= EARLY_DEATHS:
                raise WorkError(f"workers end before they are ready ({how}): is there enough memory for --workers?")
            self._open()
            return
        redo, begun = worker.unwritten, [(task.path, task.left) for task in worker.begun if task.left]
        if worker.is_finishing and not (begun or redo.units):
            return
        labelled(-len(redo.units), -redo.failed, -redo.audio_s)
        self._again.extend((path, [span]) for path, span in redo.units)
        if worker.is_alone and begun and self._is_fatal(begun[0]):
            self._give_up(begun.pop(0), how, labelled)
        self._suspects.extend(begun)
        self._open()

    @staticmethod
    def _count_step(worker: _Worker, answer: dict[str, Any], labelled: Labelled) -> None:
        units, failed = 0, bool(answer.get("failed"))
        if "span" in answer:
            task, span = worker.begun[0], tuple(answer["span"])
            task.left.remove(span)
            worker.unwritten.units.append((task.path, span))
            units = 1
        worker.unwritten.failed += failed
        worker.unwritten.audio_s += answer["audio_s"]
        labelled(units, int(failed), answer["audio_s"])

    def _is_fatal(self, group: Group) -> bool:
        self._deaths[group[0]] += 1
        return self._deaths[group[0]] >= DEATHS

    def _give_up(self, group: Group, how: str, labelled: Labelled) -> None:
        path, spans = group
        error = f"each process that labelled it ended ({how}): is the file damaged, or too large for the memory?"
        for span in spans:
            self._writer.add(Record(path, span, (Row(*span, error=error),)))
        self._writer.write()
        labelled(len(spans), len(spans), 0.0)

    def _stop(self) -> None:
        """End the workers that are left: they write what they have labelled."""
        for worker in self._workers:
            worker.send(stop=True)
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):  # then it is killed
                worker.process.wait(STOP_S)


def _how(code: int) -> str:
    """How a process ended, by its exit code."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
