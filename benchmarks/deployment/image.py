"""An image from a Dockerfile without a daemon: its steps in a Debian root, and commands as in a container of it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmarks.debian import Root, Sandbox
from benchmarks.deployment import attempts_worker
from benchmarks.deployment.dockerfile import Settings, ignore_patterns, in_context, read_instructions

STEPS = {"FROM", "COPY", "RUN"}
CERTIFICATES = Path("/etc/ssl/certs")
"""Of this machine, for pip behind a proxy."""
TO_ATTEMPTS = (
    f"mkdir --parents --mode 1777 {attempts_worker.FOLDER} && "
    f"cp /usr/bin/id {attempts_worker.SETUID} && chmod 4755 {attempts_worker.SETUID}"
)
"""Makes a folder that everybody may write, and in it a program that is root for everybody."""


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


def build(dockerfile: Path, context: Path, base: Root, folder: Path) -> Image:
    """Run the steps of a Dockerfile in a copy of `base`, which stands for the image that FROM names.

    An image that was built from the same files is used again, with empty volumes.

    Raises:
        UnavailableError: a step failed.
        ValueError: the file has an instruction that is not read here.
    """
    image = Image(Root(folder / "root", base.arch), settings_of(dockerfile), (folder / "volumes").absolute())
    marker, files = folder / "built-from.txt", digest_of(dockerfile, context)
    if not marker.exists() or marker.read_text() != files:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run(["cp", "-a", "--reflink=auto", base.path, image.root.path], check=True)
        _run_steps(dockerfile, context, image.root)
        marker.write_text(files)
    shutil.rmtree(image.volumes, ignore_errors=True)
    image.volumes.mkdir()
    for volume in image.settings.volumes:
        subprocess.run(["cp", "-a", "--parents", f".{volume}", image.volumes], cwd=image.root.path, check=True)
    return image


def settings_of(dockerfile: Path) -> Settings:
    """What a container of an image is started with."""
    settings = Settings()
    for instruction in read_instructions(dockerfile.read_text(encoding="utf-8")):
        if instruction.word not in STEPS:
            settings.apply(instruction)
    return settings


def _run_steps(dockerfile: Path, context: Path, root: Root) -> None:
    settings = Settings()
    for instruction in read_instructions(dockerfile.read_text(encoding="utf-8")):
        if instruction.word == "RUN":
            env = {"PIP_CERT": "/mnt/ca-certificates.crt", **settings.arguments, **settings.env}
            root.output("sh", "-c", instruction.text, binds={"/mnt": CERTIFICATES}, env=env)
        elif instruction.word == "COPY":
            source, target = instruction.text.split()
            copy_context(context / source, root.path / target.strip("/"))
        elif instruction.word not in STEPS:
            settings.apply(instruction)
            (root.path / settings.workdir.strip("/")).mkdir(parents=True, exist_ok=True)


def digest_of(dockerfile: Path, context: Path) -> str:
    """SHA-256 of the Dockerfile and of all files that it may copy."""
    found = hashlib.sha256(dockerfile.read_bytes())
    for name in context_files(context):
        found.update(name.encode() + b"\0" + (context / name).read_bytes())
    return found.hexdigest()


def open_to_attempts(root: Root) -> None:
    """Put in what `attempts_worker` tries."""
    root.output("sh", "-c", TO_ATTEMPTS)


def copy_context(context: Path, to: Path) -> None:
    """Copy the files of the repository that its .dockerignore lets through."""
    for name in context_files(context):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context / name, to / name)


def context_files(context: Path) -> list[str]:
    """The files of the repository that its .dockerignore lets through."""
    patterns = ignore_patterns(context)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=context, capture_output=True, text=True, check=True)
    names = sorted(filter(None, listed.stdout.split("\0")))
    return [name for name in names if in_context(PurePosixPath(name), patterns) and (context / name).is_file()]
