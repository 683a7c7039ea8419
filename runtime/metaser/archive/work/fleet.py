"""The workers of a Ray cluster: one actor per CPU, each with a warm engine, fed with paths by Ray Data.

No audio passes through Ray: the actors read the recordings and write the shards, as the workers of one machine do.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from metaser.archive.work.job import Fingerprint, Job
from metaser.archive.work.labeller import Group, Labeller, Step
from metaser.archive.work.local import ERRORS, Labelled
from metaser.archive.work.shards import ShardWriter
from metaser.runtime.errors import InputWarning, MetaserError, MissingDependencyError, WorkError
from metaser.runtime.system.cores import best_threads
from metaser.runtime.system.quiet_stderr import quiet_stderr

if TYPE_CHECKING:
    from types import ModuleType

Columns: TypeAlias = "dict[str, npt.NDArray[Any]]"
"""Column -> values, as Ray Data passes rows."""

BATCH_UNITS, BATCH_BYTES = 64, 16 << 20
"""An actor gets recordings with this many units or bytes at once, at least one recording."""

MOST_BLOCKS = 2000
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""No telemetry, and no lines of Ray's own; what is set in the environment stays."""

ADDRESS = "RAY_ADDRESS"
CONNECT_S = 5.0


class RayWorkers:
    """The actors of a job, on the cluster at RAY_ADDRESS, else on this machine.

    Parameters:
        count: number of actors; None: one per CPU of the cluster.
    """

    def __init__(self, job: Job, fingerprint: Fingerprint, out: Path, count: int | None) -> None:
        self._start = {"job": asdict(job), "out": str(out.absolute()), "fingerprint": asdict(fingerprint)}
        self._count = count

    def label(self, groups: Iterable[Group], labelled: Labelled, is_stopped: Callable[[], bool]) -> None:
        """Label groups and write their shards; stop early if asked to.

        Raises:
            MissingDependencyError: Ray is not installed.
            MetaserError: the work cannot go on; it is the error of an actor, or of Ray.
        """
        with _cluster() as ray:
            batches = [{"groups": json.dumps(batch)} for batch in in_batches(groups)]
            count = min(len(batches), self._count or int(ray.cluster_resources().get("CPU", 1)))
            results = ray.data.from_items(batches, override_num_blocks=min(len(batches), MOST_BLOCKS)).map_batches(
                Actor,
                fn_constructor_args=(self._start,),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=count),
                num_cpus=1,
            )
            try:
                for row in results.iter_rows():
                    if row["error"]:
                        raise ERRORS.get(int(row["exit_code"]), WorkError)(str(row["error"]))
                    labelled(int(row["labelled"]), int(row["failed"]), float(row["audio_s"]))
                    if is_stopped():
                        return
            except ray.exceptions.RayError as error:
                raise WorkError(
                    f"Ray failed ({str(error).splitlines()[0]}): see its logs; run the job again"
                ) from error


class Actor:
    """An engine in a process of Ray; called with a batch of groups, it writes their shard."""

    def __init__(self, start: dict[str, Any]) -> None:
        self._start = start
        self._labeller: Labeller | None = None

    def __call__(self, batch: Columns) -> Columns:
        """Label the groups of one row, as JSON; return the counts, or the error."""
        row: dict[str, Any] = {"labelled": 0, "failed": 0, "audio_s": 0.0, "error": "", "exit_code": 0}
        try:
            for step in self._steps(json.loads(str(batch["groups"][0]))):
                row["labelled"] += step.record is not None
                row["failed"] += step.record is not None and step.record.failed
                row["audio_s"] += step.audio_s
        except MetaserError as error:
            row |= {"error": str(error), "exit_code": error.exit_code}
        return {name: np.array([value]) for name, value in row.items()}

    def _steps(self, groups: Iterable[Any]) -> Iterator[Step]:
        """Label groups and write their shards."""
        warnings.simplefilter("ignore", InputWarning)
        if self._labeller is None:
            self._labeller = Labeller.open(Job(**self._start["job"]))
        writer = ShardWriter(Path(self._start["out"]), Fingerprint.from_dict(self._start["fingerprint"]))
        given = ((path, [(start_s, end_s) for start_s, end_s in spans]) for path, spans in groups)
        for step in self._labeller.steps(given):
            if step.record:
                writer.add(step.record)
            if writer.is_due:
                writer.write()
            yield step
        writer.write()


def in_batches(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Cut groups into batches of about equal work, by their units and the size of their recordings."""
    batch: list[Group] = []
    units = size = 0
    for path, spans in groups:
        batch.append((path, spans))
        units += len(spans)
        size += _size(path)
        if units >= BATCH_UNITS or size >= BATCH_BYTES:
            yield batch
            batch, units, size = [], 0, 0
    if batch:
        yield batch


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 # many paths
    except (OSError, ValueError):  # its row will say so
        return 0


@contextmanager
def _cluster() -> Iterator[ModuleType]:
    """Connect to the cluster at RAY_ADDRESS, or start one on this machine, unless this program has done so."""
    os.environ |= {name: value for name, value in SETTINGS.items() if name not in os.environ}
    try:
        import ray
        from ray import data
    except ImportError as error:
        raise MissingDependencyError("--engine ray needs Ray: pip install 'metaser[ray]'") from error
    if ray.is_initialized():
        yield ray
        return
    _check_address(os.environ.get(ADDRESS, ""))
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    data.DataContext.get_current().enable_progress_bars = False
    own = {} if os.environ.get(ADDRESS) else {"num_cpus": best_threads(), "include_dashboard": False}
    try:
        with quiet_stderr():
            ray.init(logging_level=logging.ERROR, log_to_driver=False, **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise WorkError(f"Ray does not start ({str(error).splitlines()[0]}): see its documentation") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise WorkError if nothing listens at HOST:PORT; Ray itself would wait for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():  # none, or a word such as `auto`
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise WorkError(f"no Ray cluster at {address} ({error}): check {ADDRESS}") from error
