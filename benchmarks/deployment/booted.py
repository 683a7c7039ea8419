"""systemd as the first process of a Debian root, in namespaces of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.debian import DEVICES, Root, UnavailableError

GROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
"""Where the version 2 of control groups may be mounted."""

BOOT_S = 60


@dataclass(frozen=True)
class Booted:
    """A root whose systemd runs."""

    root: Root
    pid: int
    """Of its systemd, outside."""

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in it, as root."""
        words = ["nsenter", "--target", str(self.pid), "--all", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        return subprocess.run([*words, "sh", "-c", command], capture_output=True, text=True, check=False)

    def output(self, command: str) -> str:
        """What a line of shell prints.

        Raises:
            UnavailableError: it failed.
        """
        done = self.run(command)
        if done.returncode:
            raise UnavailableError(f"{command} failed: {' '.join(done.stderr.strip().splitlines()[-1:])}")
        return done.stdout

    def wait_for(self, command: str, seconds: float) -> bool:
        """Whether a line of shell succeeds within a time; it is tried every half second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(command).returncode == 0:
                return True
            time.sleep(0.5)
        return False


@contextlib.contextmanager
def booted(root: Root) -> Iterator[Booted]:
    """Start systemd in a root, and end it with everything that it has started.

    Raises:
        UnavailableError: this machine has no control groups of version 2, or systemd does not start.
    """
    group = _new_group()
    enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec unshare "$@"', str(group)]
    apart = ["--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
    child = subprocess.Popen(
        [*enter, *apart, "sh", "-c", _script(root)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        machine = Booted(root, _first_process(child.pid))
        if not machine.wait_for("systemctl is-system-running | grep -E 'running|degraded'", BOOT_S):
            raise UnavailableError(f"systemd did not start within {BOOT_S} s")
        yield machine
    finally:
        (group / "cgroup.kill").write_text("1")
        child.wait()
        _remove(group)


def _new_group() -> Path:
    mounted = next((folder for folder in GROUPS if (folder / "cgroup.procs").exists()), None)
    if mounted is None:
        raise UnavailableError("this machine has no control groups of version 2, which systemd needs")
    group = mounted / f"metaser-services-{os.getpid()}"
    group.mkdir()
    return group


def _remove(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _first_process(outer: int) -> int:
    """The process id of systemd: the only child of `unshare`."""
    for _ in range(50):
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.1)
    raise UnavailableError("namespaces could not be made")


def _script(root: Root) -> str:
    """Mount what systemd expects of a container: https://systemd.io/CONTAINER_INTERFACE/."""
    path = shlex.quote(str(root.path))
    lines = [
        "set -e", "mount --make-rprivate /", f"mount --bind {path} {path}", f"mount -t proc proc {path}/proc",
        f"mount -t sysfs sysfs {path}/sys", f"mount -t cgroup2 cgroup2 {path}/sys/fs/cgroup",
        f"mount -t tmpfs tmpfs {path}/run", f"mount -t tmpfs -o mode=755 tmpfs {path}/dev",
        *(f"touch {path}/dev/{name} && mount --bind /dev/{name} {path}/dev/{name}" for name in DEVICES),
        f"cd {path}", "mkdir dev/pts dev/shm run/before",
        f"mount -t devpts -o newinstance,ptmxmode=0666 devpts {path}/dev/pts", f"ln -s pts/ptmx {path}/dev/ptmx",
        "ip link set lo up", "pivot_root . run/before", "umount --lazy /run/before",
        "exec env -i container=metaser PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --system",
    ]  # fmt: skip
    return "\n".join(lines)
