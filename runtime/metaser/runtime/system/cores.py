"""The number of cores that this process may use, by its CPU affinity and the CPU quotas of its control groups.

More threads than that take turns: one waits for another that may not run, and wastes the quota of both while it waits.

A container, a service or a pod with a quota gets this CPU time per period, and is stopped for the rest of it:

- cgroup v2: `cpu.max` holds `QUOTA PERIOD` in microseconds, or `max PERIOD` (Linux, admin-guide/cgroup-v2).
- cgroup v1: `cpu.cfs_quota_us` and `cpu.cfs_period_us`, -1 for no quota (Linux, scheduler/sched-bwc).

`/proc/self/cgroup` names the process's group below the mount point. Every group above it may have a quota too. Inside a
container the path is often that of the host, and the mount point is the group itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from metaser.runtime.system.kernel_files import read_text

CGROUPS = "sys/fs/cgroup"
CPU_CONTROLLER = "cpu"


def usable_cores(root: Path = Path("/")) -> int:
    """The number of cores, 1 or more, for the machine whose file system begins at `root`.

    A part of a core does not count: with 1.5 cores two threads took 1.2 times as long as one, with 0.5 twice as long.
    """
    quotas = [quota for quota in _quotas(root) if quota > 0]
    return max(1, int(min([len(_cpus()), *quotas])))


def limited_threads(root: Path = Path("/")) -> int | None:
    """The best number of threads for a process that may not use all cores; None if it may use all."""
    return None if usable_cores(root) >= (os.cpu_count() or 1) else best_threads(root)


def best_threads(root: Path = Path("/")) -> int:
    """The best number of threads for the cores that the process may use.

    Two logical processors of one core share its arithmetic units, so one thread per core is enough.
    """
    return min(usable_cores(root), _physical_cores(root))


def _cpus() -> set[int]:
    """The numbers of the logical processors that the process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _physical_cores(root: Path) -> int:
    """The number of cores of the usable logical processors; each counts as one core if the kernel gives no topology."""
    cpus = _cpus()
    folder = root / "sys/devices/system/cpu"
    return len({read_text(folder / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in cpus})


def _quotas(root: Path) -> Iterator[float]:
    """The quotas, in cores, of the process's control groups and of those above them."""
    mounts = root / CGROUPS
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, separator, named = line.partition(":")
        controllers, _, path = named.partition(":")
        if separator and not controllers:  # version 2, alone or together with version 1
            for group in (*_groups(mounts, path), *_groups(mounts / "unified", path)):
                yield _quota((read_text(group / "cpu.max") or "").split())
        elif CPU_CONTROLLER in controllers.split(","):
            for mount in {mounts / controllers, mounts / CPU_CONTROLLER}:
                for group in _groups(mount, path):
                    yield _quota([read_text(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")])


def _groups(mount: Path, path: str) -> Iterator[Path]:
    """The folder of a control group and those above it, up to the mount point."""
    names = [name for name in PurePosixPath(path).parts if name not in ("/", "..")]
    for depth in range(len(names), -1, -1):
        yield mount.joinpath(*names[:depth])


def _quota(words: list[str]) -> float:
    """[quota, period] in microseconds -> cores; 0 for no quota."""
    try:
        quota, period = map(int, words)
    except ValueError:
        return 0.0
    return quota / period if quota > 0 and period > 0 else 0.0
