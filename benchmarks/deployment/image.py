"""An image from a Dockerfile without a daemon: its steps in a Debian root, and commands as in a container of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmarks.debian import Root, Sandbox
from benchmarks.deployment.dockerfile import Settings, ignore_patterns, in_context, read_instructions

CERTIFICATES = Path("/etc/ssl/certs")
"""Of this machine, for pip behind a proxy."""


@dataclass(frozen=True)
class Image:
    """A root in which the steps of a Dockerfile have run."""

    root: Root
    settings: Settings
    volumes: Path
    """Where the volumes' content is kept between containers."""

    def run(self, words: Sequence[str], shared: Path) -> subprocess.CompletedProcess[str]:
        """Run a command in a container without network and with a read-only root; `shared` is at /mnt."""
        writable = {volume: self.volumes / volume.strip("/") for volume in self.settings.volumes}
        sandbox = Sandbox(self.settings.user, writable)
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', self.settings.workdir, *words]
        return self.root.started(*inside, binds={"/mnt": shared}, env=self.settings.env, sandbox=sandbox)


def build(dockerfile: Path, context: Path, base: Root, folder: Path, arguments: Mapping[str, str]) -> Image:
    """Run the steps of a Dockerfile in a copy of `base`, which stands for the image that FROM names.

    Raises:
        UnavailableError: a step failed.
        ValueError: the file has an instruction that is not read here.
    """
    root = Root(folder / "root", base.arch)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["cp", "-a", "--reflink=auto", base.path, root.path], check=True)
    settings = Settings(arguments=dict(arguments))
    for instruction in read_instructions(dockerfile.read_text(encoding="utf-8")):
        if instruction.word == "RUN":
            env = {"PIP_CERT": "/mnt/ca-certificates.crt", **settings.arguments, **settings.env}
            root.output("sh", "-c", instruction.text, binds={"/mnt": CERTIFICATES}, env=env)
        elif instruction.word == "COPY":
            source, target = instruction.text.split()
            copy_context(context / source, root.path / target.strip("/"))
        elif instruction.word != "FROM":
            settings.apply(instruction)
            if instruction.word == "WORKDIR":
                (root.path / settings.workdir.strip("/")).mkdir(parents=True, exist_ok=True)
    volumes = (folder / "volumes").absolute()
    volumes.mkdir()
    for volume in settings.volumes:
        subprocess.run(["cp", "-a", "--parents", f".{volume}", volumes], cwd=root.path, check=True)
    return Image(root, settings, volumes)


def copy_context(context: Path, to: Path) -> None:
    """Copy the files of the repository that its .dockerignore lets through."""
    patterns = ignore_patterns(context)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=context, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if in_context(PurePosixPath(name), patterns) and (context / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(context / name, to / name)
