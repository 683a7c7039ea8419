"""A worker process: labels the groups that it reads from standard input, and writes them as shards.

in    {"job": ..., "out": ..., "fingerprint": ...}         first
      {"path": ..., "spans": [...], "alone": false}        a group; `alone`: write its shard at once
      {"finish": true} or {"stop": true}                   write what is labelled, after all groups or at once
out   {"wanted": true}                                     all groups so far are decoded: give the next one
      {"audio_s": s, "span": [...], "failed": false}       some audio is labelled, and with `span` a unit is complete
      {"ended": true}                                      a group is complete, in the order of the input
      {"written": true}                                    all groups so far are in shards
      {"error": text, "exit_code": n}                      the work cannot go on

If standard input ends, the parent process was killed: the worker ends at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import IO, Any

from metaser.archive.work.job import Fingerprint, Job
from metaser.archive.work.labeller import Group, Labeller
from metaser.archive.work.shards import ShardWriter
from metaser.runtime.errors import InputWarning, MetaserError

ORPHANED = 3


class _Answers:
    """The answers on what was standard output, given by several threads."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self._lock = threading.Lock()

    def give(self, **values: object) -> None:
        """Write an answer."""
        with self._lock:
            self._output.write(json.dumps(values) + "\n")
            self._output.flush()


class _Orders:
    """The groups that are read from standard input by a thread."""

    def __init__(self, lines: IO[str], answers: _Answers) -> None:
        self._lines = lines
        self._answers = answers
        self._ready: Queue[dict[str, Any] | None] = Queue()
        self.alone = False
        """The newest group is the only one, and its shard is to be written at once."""

        self.stopped = threading.Event()
        threading.Thread(target=self._read, name="metaser-orders", daemon=True).start()

    def groups(self) -> Iterator[Group]:
        """Yield the groups up to the end of the work."""
        while True:
            self._answers.give(wanted=True)
            order = self._ready.get()
            if order is None:
                return
            self.alone = order["alone"]
            yield order["path"], [(start_s, end_s) for start_s, end_s in order["spans"]]

    def _read(self) -> None:
        for line in self._lines:
            order = json.loads(line)
            if "path" in order:
                self._ready.put(order)
                continue
            if "stop" in order:
                self.stopped.set()
            self._ready.put(None)
        os._exit(ORPHANED)  # a parent keeps the pipe open until the worker has ended


def main() -> None:
    """Run the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which says when to stop
    warnings.simplefilter("ignore", InputWarning)
    answers = _Answers(os.fdopen(os.dup(sys.stdout.fileno()), "w"))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries must not write into the answers
    start = json.loads(sys.stdin.readline())
    try:
        _work(start, answers)
    except MetaserError as error:
        answers.give(error=str(error), exit_code=error.exit_code)
    except BrokenPipeError:  # the parent was killed
        os._exit(ORPHANED)


def _work(start: dict[str, Any], answers: _Answers) -> None:
    fingerprint = Fingerprint.from_dict(start["fingerprint"])
    labeller = Labeller.open(Job(**start["job"]))
    writer = ShardWriter(Path(start["out"]), fingerprint)
    orders = _Orders(sys.stdin, answers)
    for step in labeller.steps(orders.groups(), orders.stopped.is_set):
        if step.record:
            writer.add(step.record)
            answers.give(audio_s=step.audio_s, span=step.record.span, failed=step.record.failed)
        elif not step.ends_group:
            answers.give(audio_s=step.audio_s)
        at_once = step.ends_group and orders.alone
        if step.ends_group:
            orders.alone = False
            answers.give(ended=True)
        if at_once or writer.is_due:
            writer.write()
            answers.give(written=True)
    writer.write()
    answers.give(written=True)


if __name__ == "__main__":
    main()
