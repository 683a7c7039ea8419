"""Debian roots made with debootstrap, and commands in them; those of arm64 run in qemu on an x86-64 machine.

Mounts are made in a namespace of their own, so that none is left when a command has ended.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name -> the kernel's."""

BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
CPU = "cortex-a72"
"""Of a Raspberry Pi 4. By default qemu 7.2 emulates the matrix extension SME too, but wrongly: int8 is then wrong."""

CPUINFO = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
"""Of one core of this processor: ONNX Runtime's cpuinfo crashes on that of an x86 processor."""

PATH = "/opt/metaser/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
TMPFS = {"dev": "755", "tmp": "1777"}
"""Folder of a sandbox -> the mode of the tmpfs that is mounted there."""

DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
CONFINED = (
    "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--init-groups", "--reset-env",
)  # fmt: skip
"""Options of setpriv for a process without rights."""


class UnavailableError(RuntimeError):
    """Something that this machine lacks; the message says what to do."""


@dataclass(frozen=True)
class Sandbox:
    """Restrictions of a container: no network, no other processes, a root that cannot be written, no capabilities."""

    user: str
    writable: Mapping[str, Path] = field(default_factory=dict)
    """Folder in the root -> the folder that is mounted there; other mounts are read-only."""


@dataclass(frozen=True)
class Root:
    """A Debian root in a folder."""

    path: Path
    arch: str
    """As Debian names it."""

    @property
    def emulated(self) -> bool:
        """Whether its programs run in an emulator."""
        return is_emulated(self.arch)

    def check(self) -> None:
        """Raise UnavailableError unless the root can be made and used here."""
        if os.geteuid() != 0:
            raise UnavailableError(f"a root for {self.arch} needs root: run it with sudo, or in a container as root")
        for program, package in (("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("ip", "iproute2")):
            if shutil.which(program) is None:
                raise UnavailableError(f"{program} is missing: apt-get install {package}")
        if self.emulated and self.arch != "arm64":
            raise UnavailableError(f"programs of {self.arch} are not emulated here: name --arch arm64")
        if self.emulated and not BINFMT.exists():
            raise UnavailableError(
                "the kernel does not run arm64 programs: apt-get install qemu-user-static binfmt-support, and "
                "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && update-binfmts --import"
            )

    def make(self, suite: str, packages: Sequence[str], mirror: str | None = None) -> None:
        """Install a release of Debian into the folder, unless it is there.

        Raises:
            UnavailableError: the packages cannot be fetched.
        """
        marker = self.path / ".complete"
        if not marker.exists():
            self._bootstrap(suite, packages, mirror)
        if self.emulated:
            write_cpuinfo(self.path / "cpuinfo")
        marker.touch()

    def _bootstrap(self, suite: str, packages: Sequence[str], mirror: str | None) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        options = [f"--arch={self.arch}", "--variant=minbase", *_including(packages)]
        words = ["debootstrap", *options, suite, str(self.path), *([mirror] if mirror else [])]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            last = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("E:", "W:"))][-1:]
            raise UnavailableError(f"debootstrap failed ({' '.join(last) or 'no reason given'}): is there a network?")

    def output(
        self,
        *words: str,
        binds: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        sandbox: Sandbox | None = None,
    ) -> str:
        """Run a command in the root and return what it prints; the parameters are those of `started`.

        Raises:
            UnavailableError: it failed.
        """
        done = self.started(*words, binds=binds, env=env, sandbox=sandbox)
        if done.returncode:
            last = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
            raise UnavailableError(f"{' '.join(words)} failed on {self.arch} with exit code {done.returncode}: {last}")
        return done.stdout

    def started(
        self,
        *words: str,
        binds: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        sandbox: Sandbox | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the root, whatever its exit code.

        Parameters:
            binds: folder in the root -> the folder that is mounted there.
        """
        apart = ["--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"] if sandbox else []
        script = self._script(words, binds or {}, env or {}, sandbox)
        command = ["unshare", "--mount", *apart, "sh", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def _script(
        self, words: Sequence[str], binds: Mapping[str, Path], env: Mapping[str, str], sandbox: Sandbox | None
    ) -> str:
        """The mounts, and the command behind chroot."""
        root = shlex.quote(str(self.path))
        emulation = {"QEMU_CPU": CPU} if self.emulated else {}
        variables = {"PATH": PATH, "LANG": "C.UTF-8", "ORT_DISABLE_TELEMETRY": "1", **emulation, **env}
        lines = ["set -e"]
        if sandbox:
            lines += ["ip link set lo up", f"mount --bind {root} {root}", f"mount -o remount,bind,ro {root} {root}"]
            lines += [f"mount -t tmpfs -o mode={mode} tmpfs {root}/{folder}" for folder, mode in TMPFS.items()]
            lines += [f"touch {root}/dev/{name} && mount --bind /dev/{name} {root}/dev/{name}" for name in DEVICES]
            rights = ["setpriv", f"--reuid={sandbox.user}", f"--regid={sandbox.user}", *CONFINED]
        else:
            lines += [f"mount --rbind /dev {root}/dev"]
            rights, variables = [], {"HOME": "/root", **variables}
        lines += [f"mount -t proc proc {root}/proc", f"mount --rbind /sys {root}/sys"]
        lines += [f"mount --bind {root}/cpuinfo {root}/proc/cpuinfo"] if self.emulated else []
        for there, here in {**binds, **(sandbox.writable if sandbox else {})}.items():
            lines.append(f"mount --bind {shlex.quote(str(here))} {root}{there}")
            if sandbox and there not in sandbox.writable:
                lines.append(f"mount -o remount,bind,ro {root}{there}")
        assigned = [f"{name}={value}" for name, value in variables.items()]
        first = ["env", "-i", *(f"{name}={value}" for name, value in emulation.items()), f"PATH={PATH}"]
        inner = [*rights, "env", *assigned, *words]
        lines.append(shlex.join(["exec", *first, "chroot", str(self.path), *inner]))
        return "\n".join(lines)


def is_emulated(arch: str) -> bool:
    """Whether this machine runs programs of an architecture in an emulator."""
    return ARCHITECTURES[arch] != platform.machine()


def write_cpuinfo(path: Path) -> None:
    """Write the file that stands for /proc/cpuinfo; not again while programs may read it."""
    cpuinfo = "".join(CPUINFO.format(number=number) for number in range(os.cpu_count() or 1))
    if not (path.exists() and path.read_text() == cpuinfo):
        path.write_text(cpuinfo)


def parser_of(module: str, description: str, folder: Path) -> argparse.ArgumentParser:
    """The options of a command that makes roots in a folder."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--folder", type=Path, default=folder, help="for the roots: 1 to 4 GB")
    parser.add_argument("--mirror", help="of Debian's packages; the default one of debootstrap")
    return parser


@contextmanager
def exit_if_unavailable() -> Iterator[None]:
    """Say what this machine lacks, and end with exit code 3."""
    try:
        yield
    except UnavailableError as error:
        print(error, file=sys.stderr)
        sys.exit(3)


def emulator() -> str:
    """Name and version of the emulator, and the processor that it emulates."""
    program, version = shutil.which("qemu-aarch64-static"), "qemu-aarch64"
    if program:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        version = (done.stdout.splitlines() or [version])[0]
    return f"{version} with {CPU}"


def _including(packages: Sequence[str]) -> list[str]:
    return [f"--include={','.join(packages)}"] if packages else []
