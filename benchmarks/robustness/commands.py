"""The killed commands: files before, how they start, and allowed files after.

A command starts in its own process, or in a fork of this process, which has loaded the libraries and, for export, has
traced the graphs: that takes most of the time of a command, and writes nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.robustness.material import SMALLEST
from metaser.runtime import Engine, Profile, open_bundle
from metaser.runtime.errors import MetaserError
from metaser.runtime.system.files import leftovers

Wrong = list[tuple[str, str]]
"""Problems of the files that a command left: the sort, and details."""


class Command:
    """A command, and the folder that it writes into."""

    name: ClassVar[str]
    own_process: ClassVar[bool] = True
    """Whether it also starts in its own process."""

    def __init__(self, scratch: Path) -> None:
        self.seeds = scratch.parents[1] / "seeds"
        self.folder = scratch / "now"
        self.before = scratch / f"{self.name}-before"
        shutil.rmtree(self.before, ignore_errors=True)
        self.before.mkdir(parents=True)
        self.ends: list[object] = []
        self.prepare()
        self.begin()
        self.start_state = self.state()
        self.support = _stats(self.seeds / "support")

    def prepare(self) -> None:
        """Make the initial files in `before`."""

    def begin(self) -> None:
        """Restore the initial files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.before, self.folder)

    def words(self) -> list[str]:
        """The command line."""
        raise NotImplementedError

    def start(self, *, copied: bool) -> int:
        """Start the command, in a fork of this process or in its own process; return the process id."""
        return self._copy() if copied else self._process()

    def _process(self) -> int:
        words = [sys.executable, "-m", "metaser.cli", *self.words()]
        env = {**os.environ, "XDG_STATE_HOME": str(self.folder.parent / "state"), "OMP_NUM_THREADS": "1"}
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(words, cwd=self.folder, env=env, stdin=quiet, stdout=quiet, stderr=quiet)
        process.returncode = 0  # the killer waits for it
        return process.pid

    def _copy(self) -> int:
        if process := os.fork():
            return process
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(nothing, number)
            self.run()
        finally:
            os._exit(0)

    def run(self, *more: str) -> None:
        """Run the command line in this process, which is a fork.

        Raises:
            AssertionError: it ended with another exit code than 0.
        """
        from metaser.cli.main import command

        os.chdir(self.folder)
        code = command()([*self.words(), *more], prog_name="metaser", standalone_mode=False)
        assert not code, f"exit code {code}"

    def in_copy(self, work: Callable[[], object]) -> str | None:
        """Do something in a fork of this process; return the error, if any."""
        reading, writing = os.pipe()
        if not (process := os.fork()):
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            try:
                work()
            except BaseException as error:  # noqa: BLE001 # it is reported
                os.write(writing, f"{type(error).__name__}: {error}"[:4000].encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            message = pipe.read().decode()
        os.waitpid(process, 0)
        return message or None

    def state(self) -> object:
        """The current files, for comparison."""
        raise NotImplementedError

    def remember(self) -> None:
        """Store the files after a complete run."""
        self.ends.append(self.state())

    def look(self) -> tuple[str, Wrong]:
        """The state after a kill in a word, and its problems."""
        wrong: Wrong = []
        if _stats(self.seeds / "support") != self.support:
            wrong.append(("support changed", self.name))
        state, more = self.judge()
        return state, wrong + more

    def judge(self) -> tuple[str, Wrong]:
        """The same for the files that the command writes."""
        raise NotImplementedError


class ProfileCommand(Command):
    """A command that makes or changes a profile."""

    def prepare(self) -> None:
        """A profile with an earlier change, so that there is an undo copy."""
        engine = Engine.open(self.bundle, provider="cpu", threads=1)
        profile = engine.enroll(self.seeds / "support")
        path = self.before / "profile.safetensors"
        engine.calibrate(profile, false_accepts=0.3).save(path)
        engine.calibrate(profile, false_accepts=0.1).save(path)

    @property
    def bundle(self) -> Path:
        """The bundle of the profile."""
        return self.seeds / "bundles" / SMALLEST

    @property
    def path(self) -> Path:
        """The profile."""
        return self.folder / "profile.safetensors"

    def options(self) -> list[str]:
        """Common options."""
        return ["--profile", str(self.path), "--bundle", str(self.bundle), "--threads", "1"]

    def state(self) -> tuple[bytes | None, bytes | None]:
        """The bytes of the profile and of its undo copy."""
        undo = self.path.with_name(f"{self.path.name}.undo")
        profile, copy = (path.read_bytes() if path.is_file() else None for path in (self.path, undo))
        return profile, copy

    def judge(self) -> tuple[str, Wrong]:
        """Old, new, or in between: the undo copy is already replaced, but not yet the profile."""
        wrong: Wrong = []
        now = self.state()
        old, new = self.start_state, self.ends[0]
        assert isinstance(old, tuple)
        assert isinstance(new, tuple)
        if now == old:
            word = "old"
        elif now == new:
            word = "new"
        elif now in ((old[0], new[1]), (new[0], old[1])):
            word = "in between"
        else:
            word = "neither"
            wrong.append(("lost or half-written", f"profile of {_size(now[0])}, undo of {_size(now[1])} bytes"))
        with suppress(FileNotFoundError):
            try:
                Profile.load(self.path)
            except MetaserError as error:
                if now[0] is not None:
                    wrong.append(("does not open", str(error)))
        found = leftovers(self.path)
        self._next_command()
        if lasting := leftovers(self.path):
            wrong.append(("left for ever", ", ".join(path.name for path in lasting)))
        return f"{word}, with a temporary file" if found else word, wrong

    def _next_command(self) -> None:
        """Change the profile again, as any later command does."""
        path = self.path if self.path.is_file() else self.before / self.path.name
        if path.is_file():
            Profile.load(path).answering("off").save(self.path)
        else:
            Profile.load(next((self.seeds / "profiles").iterdir())).save(self.path)


class Enroll(ProfileCommand):
    """`metaser enroll` without an existing profile."""

    name = "enroll"

    def prepare(self) -> None:
        """Nothing is there."""

    def words(self) -> list[str]:
        """The command line."""
        return ["enroll", str(self.seeds / "support"), *self.options()]


class Add(ProfileCommand):
    """`metaser enroll --add`."""

    name = "add"

    def words(self) -> list[str]:
        """The command line."""
        return ["enroll", "--add", str(self.seeds / "more"), *self.options()]


class Remove(ProfileCommand):
    """`metaser enroll --remove`."""

    name = "remove"

    def words(self) -> list[str]:
        """The command line."""
        return ["enroll", "--remove", "joy/de-m3.flac", *self.options()]


class Undo(ProfileCommand):
    """`metaser enroll --undo`."""

    name = "undo"

    def words(self) -> list[str]:
        """The command line."""
        return ["enroll", "--undo", *self.options()]


class Calibrate(ProfileCommand):
    """`metaser calibrate`."""

    name = "calibrate"

    def words(self) -> list[str]:
        """The command line."""
        return ["calibrate", "--false-accepts", "0.2", *self.options()]


class Reenroll(ProfileCommand):
    """`metaser reenroll`, for another bundle."""

    name = "reenroll"

    def words(self) -> list[str]:
        """The command line."""
        other = self.seeds / "bundles" / "whisper"
        return ["reenroll", "--profile", str(self.path), "--bundle", str(other), "--threads", "1"]


class Export(Command):
    """`metaser export --force` over a bundle of another name."""

    name = "export"
    own_process = False

    def prepare(self) -> None:
        """An older bundle."""
        export: Any = import_module("metaser.export.bundle")
        set_threads: Any = import_module("metaser.toolkit.torch_threads").set_threads
        open_source: Any = import_module("metaser.export.source").open_source
        set_threads(1)
        shutil.copytree(self.seeds / "bundles" / SMALLEST, self.before / "bundle")
        for name in ("encoder_graph", "head_graph", "tune_graph"):
            _remember(export, name)
        network = open_source(str(self.seeds / "checkpoints" / "glu"), None, None).network
        export.encoder_graph(network.backbone, export.longest_window_s(network.backbone, export.MAX_WINDOW_S))
        export.head_graph(network.head)
        export.tune_graph(network.head)

    def words(self) -> list[str]:
        """The command line."""
        model = str(self.seeds / "checkpoints" / "glu")
        return ["export", model, str(self.folder / "bundle"), "--force", "--name", "other"]

    def state(self) -> str:
        """The name of the existing bundle."""
        return open_bundle(self.folder / "bundle").manifest.name

    def judge(self) -> tuple[str, Wrong]:
        """Old, new, or missing with the old one next to it; the next export cleans all of it up."""
        wrong: Wrong = []
        place = self.folder / "bundle"
        if place.is_dir():
            word = self.state()
            if message := self.in_copy(self._verify):
                wrong.append(("does not open", message))
        else:
            word = "absent"
            if not (self.folder / ".bundle.old" / "bundle.json").is_file():
                wrong.append(
                    ("lost or half-written", f"there is {sorted(file.name for file in self.folder.iterdir())}")
                )
        others = sorted(file.name for file in self.folder.iterdir() if file != place)
        if others:
            if message := self.in_copy(self.run):
                wrong.append(("does not go on", message))
            if lasting := sorted(file.name for file in self.folder.iterdir() if file != place):
                wrong.append(("left for ever", ", ".join(lasting)))
        return f"{word}, with {' and '.join(others)}" if others else word, wrong

    def _verify(self) -> None:
        engine = Engine.open(self.folder / "bundle", provider="cpu", threads=1)
        assert engine.verify().passed


class Train(Command):
    """`metaser train`; a killed run can be resumed to the same result as a run that was not killed."""

    name = "train"
    own_process = False

    def prepare(self) -> None:
        """Only the settings."""
        from metaser.toolkit.torch_threads import set_threads
        from metaser.toolkit.training import train  # noqa: F401 # for all copies

        set_threads(1)
        shutil.copy(self.seeds / "configs" / "run.toml", self.before)

    def words(self) -> list[str]:
        """The command line."""
        return ["train", "run.toml"]

    def state(self) -> bytes | None:
        """The weights of the best checkpoint."""
        path = self.folder / "run" / "best" / "model.safetensors"
        return path.read_bytes() if path.is_file() else None

    def judge(self) -> tuple[str, Wrong]:
        """Nothing, a state, or a state and a checkpoint."""
        wrong: Wrong = []
        run = self.folder / "run"
        there = [name for name in ("best", "state.pt") if (run / name).exists()]
        if message := self.in_copy(lambda: self.run("--resume")):
            wrong.append(("does not go on", message))
        elif self.state() != self.ends[0]:
            wrong.append(("lost or half-written", "the resumed run ends with other weights"))
        elif lasting := [path.name for path in run.iterdir() if path.name.startswith(".")]:
            wrong.append(("left for ever", ", ".join(lasting)))
        return " and ".join(there) or "nothing", wrong


COMMANDS: tuple[Callable[[Path], Command], ...] = (Enroll, Add, Remove, Undo, Calibrate, Reenroll, Export, Train)


def _remember(module: object, name: str) -> None:
    """Let a function of a module return its cached result."""
    function = getattr(module, name)
    found: list[object] = []

    def remembered(*arguments: object, **options: object) -> object:
        if not found:
            found.append(function(*arguments, **options))
        return found[0]

    setattr(module, name, remembered)


def _stats(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def _size(content: bytes | None) -> str:
    return "no" if content is None else str(len(content))
