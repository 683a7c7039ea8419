"""An image and its containers by a Docker daemon."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.debian import UnavailableError
from benchmarks.deployment.dockerfile import Settings
from benchmarks.deployment.image import settings_of

RESTRICTED = (
    "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges",
)  # fmt: skip


@dataclass(frozen=True)
class DockerImage:
    """An image that the daemon has built."""

    name: str
    settings: Settings

    def run(self, words: Sequence[str], shared: Path) -> subprocess.CompletedProcess[str]:
        """Run a command in a container without network and with a read-only root; `shared` is at /mnt."""
        volumes = [f"--volume={self.name}:{volume}" for volume in self.settings.volumes]
        command = ["docker", "run", *RESTRICTED, *volumes, f"--volume={shared}:/mnt:ro", "--entrypoint="]
        return subprocess.run([*command, self.name, *words], capture_output=True, text=True, check=False)


def has_daemon() -> bool:
    """Whether a Docker daemon answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def build_with_docker(dockerfile: Path, context: Path, name: str, arch: str) -> DockerImage:
    """Build an image for an architecture.

    Raises:
        UnavailableError: a step failed.
    """
    words = ["docker", "build", f"--platform=linux/{arch}", "--file", str(dockerfile), "--tag", name, str(context)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        raise UnavailableError(f"docker build of {dockerfile} failed: {last}")
    return DockerImage(name, settings_of(dockerfile))
