"""A Debian root for arm64 on an x86-64 machine, whose programs the kernel hands to qemu (binfmt_misc).

Mounts are made in a namespace of their own, so that none is left when a command has ended.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SUITE = "bookworm"
PYTHON = "3.11"
"""Debian's own in this release."""

PACKAGES = "python3-venv,libportaudio2,ca-certificates"
BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
ENVIRONMENT = "/opt/metaser"

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

MOUNTED = """
set -e
mount -t proc proc "$0/proc"
mount --rbind /sys "$0/sys"
mount --rbind /dev "$0/dev"
mount --bind "$1" "$0/mnt"
mount --bind "$0/cpuinfo" "$0/proc/cpuinfo"
root=$0
cpu=$2
shift 2
exec chroot "$root" /usr/bin/env -i QEMU_CPU="$cpu" PATH=/opt/metaser/bin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 \\
    ORT_DISABLE_TELEMETRY=1 "$@"
"""


class UnavailableError(RuntimeError):
    """Something that this machine lacks; the message says what to do."""


def check_machine() -> None:
    """Raise UnavailableError unless a root can be made and run here."""
    if platform.machine() == "aarch64":
        raise UnavailableError("this machine is arm64 itself: run the tests as they are, with make test")
    if os.geteuid() != 0:
        raise UnavailableError("an arm64 root needs root: run it with sudo, or in a container as root")
    for program, package in (("debootstrap", "debootstrap"), ("unshare", "util-linux")):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is missing: apt-get install {package}")
    if not BINFMT.exists():
        raise UnavailableError(
            "the kernel does not run arm64 programs: apt-get install qemu-user-static binfmt-support, and "
            "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"
        )


def make_root(root: Path, mirror: str | None) -> None:
    """Install Debian for arm64 into a folder, unless it is there.

    Raises:
        UnavailableError: the packages cannot be fetched.
    """
    marker = root / ".complete"
    if marker.exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    words = ["debootstrap", "--arch=arm64", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)]
    done = subprocess.run([*words, *([mirror] if mirror else [])], capture_output=True, text=True, check=False)
    if done.returncode:
        last = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("E:", "W:"))][-1:]
        raise UnavailableError(f"debootstrap failed ({' '.join(last) or 'no reason given'}): is there a network?")
    marker.touch()


def fetch_wheels(wheel: Path, folder: Path) -> None:
    """Download the wheels that metaser's wheel needs on arm64.

    Raises:
        UnavailableError: they cannot be fetched.
    """
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", *platforms]
    words += ["--python-version", PYTHON, "--dest", str(folder), f"{wheel}[cpu]"]
    if subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode:
        raise UnavailableError("the wheels for arm64 cannot be fetched: is there a network?")


def install(root: Path, work: Path) -> None:
    """Make the environment with metaser in the root, from `WORK/wheels`."""
    shutil.rmtree(root / ENVIRONMENT.strip("/"), ignore_errors=True)
    inside(root, work, "python3", "-m", "venv", ENVIRONMENT)
    pip = [f"{ENVIRONMENT}/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/mnt/wheels"]
    inside(root, work, *pip, "metaser[cpu]")


def inside(root: Path, work: Path, *words: str) -> str:
    """Run a command in the root, where `work` is at `/mnt`; return what it prints.

    Raises:
        UnavailableError: it failed.
    """
    (root / "cpuinfo").write_text("".join(CPUINFO.format(number=number) for number in range(os.cpu_count() or 1)))
    command: Sequence[str] = ["unshare", "--mount", "sh", "-c", MOUNTED, str(root), str(work), CPU, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise UnavailableError(f"{' '.join(words)} failed on arm64 with exit code {done.returncode}: {' '.join(last)}")
    return done.stdout
