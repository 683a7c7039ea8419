"""Read a Dockerfile: its instructions in order, and what a container is started with.

Only the syntax that this project's files use is read: https://docs.docker.com/reference/dockerfile/.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

CONTINUED = re.compile(r"\\\n")
VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Instruction:
    """One instruction: `RUN apt-get update` is the word RUN with its text."""

    word: str
    text: str


@dataclass
class Settings:
    """What the instructions have set so far."""

    arguments: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = "root"
    workdir: str = "/"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def apply(self, instruction: Instruction) -> None:
        """Set what an instruction other than FROM, COPY and RUN sets.

        Raises:
            ValueError: the instruction is not one of those that are read.
        """
        text = instruction.text
        if instruction.word == "ARG":
            name, _, default = text.partition("=")
            self.arguments.setdefault(name, default)
        elif instruction.word == "ENV":
            pairs = [word.partition("=") for word in shlex.split(text)]
            self.env |= {name: expanded(value, self.env) for name, _, value in pairs}
        elif instruction.word == "USER":
            self.user = text
        elif instruction.word == "WORKDIR":
            self.workdir = text
        elif instruction.word == "VOLUME":
            self.volumes.append(text)
        elif instruction.word == "ENTRYPOINT":
            self.entrypoint = json.loads(text)
        elif instruction.word == "CMD":
            self.command = json.loads(text)
        elif instruction.word == "HEALTHCHECK":
            self.health = json.loads(text[text.index("[") :])
        elif instruction.word not in {"EXPOSE", "STOPSIGNAL"}:
            raise ValueError(f"{instruction.word} is not read here")


def read_instructions(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = CONTINUED.sub(" ", "\n".join(lines))
    words = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [Instruction(word, text.strip()) for word, _, text in words]


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Replace `$NAME` and `${NAME}`; a name without a value is empty."""
    return VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)


def in_context(path: PurePosixPath, patterns: Sequence[str]) -> bool:
    """Whether a file is sent to a build, by the patterns of a .dockerignore: the last one that fits decides."""
    names = [path, *path.parents[:-1]]
    ignored = False
    for pattern in patterns:
        if any(_fits(name, pattern.removeprefix("!")) for name in names):
            ignored = not pattern.startswith("!")
    return not ignored


def _fits(path: PurePosixPath, pattern: str) -> bool:
    """`*` stands for a part of one name; a leading `**/` for any folders."""
    if pattern.startswith("**/"):
        return fnmatch(path.name, pattern[3:])
    return len(path.parts) == len(PurePosixPath(pattern).parts) and fnmatch(str(path), pattern)


def ignore_patterns(folder: Path) -> list[str]:
    """The patterns of a folder's .dockerignore."""
    lines = (folder / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
