"""An image and its containers by a Docker daemon."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.debian import CPU, UnavailableError, is_emulated, write_cpuinfo
from benchmarks.deployment.dockerfile import Settings
from benchmarks.deployment.image import TO_ATTEMPTS, settings_of

RESTRICTED = (
    "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges",
)  # fmt: skip


@dataclass(frozen=True)
class DockerImage:
    """An image that the daemon has built."""

    name: str
    settings: Settings
    emulation: tuple[str, ...] = ()
    """Options of a container whose programs are emulated."""

    def run(self, words: Sequence[str], shared: Path) -> subprocess.CompletedProcess[str]:
        """Run a command in a container without network and with a read-only root; `shared` is at /mnt."""
        volumes = [f"--volume={self.name}:{volume}" for volume in self.settings.volumes]
        volumes.append(f"--volume={shared}:/mnt:ro")
        command = ["docker", "run", *RESTRICTED, *self.emulation, *volumes, "--entrypoint="]
        return subprocess.run([*command, self.name, *words], capture_output=True, text=True, check=False)


def daemon_version() -> str | None:
    """The version of the Docker daemon that answers, if one does."""
    if shutil.which("docker") is None:
        return None
    words = ["docker", "version", "--format", "{{.Server.Version}}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def build_with_docker(dockerfile: Path, context: Path, arch: str, folder: Path) -> DockerImage:
    """Build an image for an architecture; a file that its containers need is written into `folder`.

    Raises:
        UnavailableError: a step failed.
    """
    name = f"metaser-{dockerfile.parent.name}-{arch}"
    _build(arch, name, "--file", str(dockerfile), str(context))
    settings = settings_of(dockerfile)
    _build(arch, name, "-", dockerfile=f"FROM {name}\nUSER root\nRUN {TO_ATTEMPTS}\nUSER {settings.user}\n")
    emulation: tuple[str, ...] = ()
    if is_emulated(arch):
        write_cpuinfo(folder / "cpuinfo")
        emulation = (f"--env=QEMU_CPU={CPU}", f"--volume={folder / 'cpuinfo'}:/proc/cpuinfo:ro")
    return DockerImage(name, settings, emulation)


def _build(arch: str, name: str, *words: str, dockerfile: str | None = None) -> None:
    command = ["docker", "build", f"--platform=linux/{arch}", "--tag", name, *words]
    done = subprocess.run(command, input=dockerfile, capture_output=True, text=True, check=False)
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        raise UnavailableError(f"docker build of {name} failed: {last}")
