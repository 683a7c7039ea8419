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
READ_ONLY = ("proc/sys", "proc/sysrq-trigger", "proc/irq")
"""They are those of the whole machine; not every kernel has all of them."""


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
    apart = ["--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
    child = subprocess.Popen(
        [*enter, *apart, "sh", "-c", _script(root)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        machine = Booted(root, _first_process(child.pid))
        with contextlib.suppress(OSError):  # not possible where the folder above has groups of its own
            (group.parent / "cgroup.procs").write_text(str(child.pid))  # systemd's own group may have no process
        if not machine.wait_for("systemctl is-system-running | grep -E 'running|degraded'", BOOT_S):
            raise UnavailableError(f"systemd did not start within {BOOT_S} s")
        yield machine
    finally:
        child.kill()  # unshare ends systemd with it, and the kernel everything in its namespace
        child.wait()
        _remove(group)


def _new_group() -> Path:
    mounted = next((folder for folder in GROUPS if (folder / "cgroup.procs").exists()), None)
    if mounted is None:
        raise UnavailableError("this machine has no control groups of version 2, which systemd needs")
    group = mounted / f"metaser-services-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise UnavailableError(f"no control group can be made in {mounted}: {error.strerror}") from error
    return group


def _remove(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _first_process(outer: int) -> int:
    """The process id of systemd, the only child of `unshare`, once the child is in its own root."""
    for _ in range(10 * BOOT_S):
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
            if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd":
                return int(children[0])
        time.sleep(0.1)
    raise UnavailableError("systemd could not be started in namespaces of its own")


def _script(root: Root) -> str:
    """Mount what systemd expects of a container: https://systemd.io/CONTAINER_INTERFACE/."""
    path = shlex.quote(str(root.path))
    lines = [
        "set -e", "mount --make-rprivate /", f"mount --bind {path} {path}", f"mount -t proc proc {path}/proc",
        f"for name in {' '.join(READ_ONLY)}; do if [ -e {path}/$name ]; then",
        f"mount --bind {path}/$name {path}/$name; mount -o remount,bind,ro {path}/$name; fi; done",
        f"mount -t sysfs -o ro sysfs {path}/sys", f"mount -t cgroup2 cgroup2 {path}/sys/fs/cgroup",
        f"mount -t tmpfs tmpfs {path}/run", f"mount -t tmpfs -o mode=755 tmpfs {path}/dev",
        *(f"touch {path}/dev/{name} && mount --bind /dev/{name} {path}/dev/{name}" for name in DEVICES),
        f"cd {path}", "mkdir dev/pts dev/shm run/before",
        f"mount -t devpts -o newinstance,ptmxmode=0666 devpts {path}/dev/pts", f"ln -s pts/ptmx {path}/dev/ptmx",
        "ip link set lo up", "pivot_root . run/before", "umount --lazy /run/before",
        "exec env -i container=metaser PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --system",
    ]  # fmt: skip
    return "\n".join(lines)
