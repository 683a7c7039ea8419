"""Compiled engines on disk: built once, by one process at a time, used only when complete, dropped when broken.

CACHE/
├── lock          held by the process that builds; the system releases it when that process ends for any reason
├── KEY/          an engine: what the provider wrote and, written last, complete.json
└── .KEY.new/     one that is being built, or left by a killed process: the next build removes it

KEY is a hash of everything an engine depends on: each model, version, device and precision has its own engine.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.errors import MetaserError, WorkError
from metaser.runtime.system.files import SHARED, replace_text
from metaser.runtime.system.folders import replacing_folder
from metaser.runtime.system.locks import take
from metaser.runtime.system.os_errors import cannot_write

MARKER = "complete.json"
LOCK = "lock"
KEY_DIGITS = 32

Notify = Callable[[str], None]
Opened = TypeVar("Opened")


def print_nothing(_: str) -> None:
    """A `Notify` for callers that do not show progress."""


def cache_key(facts: Mapping[str, str]) -> str:
    """The name of the engine that depends on these facts, in any order."""
    text = json.dumps(dict(facts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


@dataclass(frozen=True)
class EngineCache:
    """The engines of one person on one machine."""

    root: Path
    notify: Notify
    """Called with one line when a build begins, every `tell_every_s` while it runs, and when it ends."""

    tell_every_s: float = 10.0

    def open(self, facts: Mapping[str, str], build: Callable[[Path], object], load: Callable[[Path], Opened]) -> Opened:
        """The result of `load` on the engine's folder, after `build` has filled that folder if necessary.

        An engine that is complete but does not load is built again, once.

        Raises:
            WorkError: the cache cannot be written, or `build` left nothing.
            MetaserError: raised by `build`, or by `load` on a new engine.
        """
        folder = self.root / cache_key(facts)
        try:
            if not self._build(folder, facts, build):
                try:
                    return load(folder)
                except MetaserError as error:
                    self.notify(f"the engine in the cache does not load ({error}): building it again")
                    shutil.rmtree(folder, ignore_errors=True)
                    self._build(folder, facts, build)
            return load(folder)
        except (MetaserError, BrokenPipeError):
            raise
        except OSError as error:
            raise cannot_write(self.root, error) from error

    def _build(self, folder: Path, facts: Mapping[str, str], build: Callable[[Path], object]) -> bool:
        """Build the engine if necessary; return whether this process built it."""
        if is_complete(folder, facts):
            return False
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(self.root / LOCK, self.notify):
            if is_complete(folder, facts):  # built by the process that held the lock
                return False
            if folder.exists():
                self.notify("the engine in the cache is damaged: building it again")
                shutil.rmtree(folder)
            with replacing_folder(folder) as new:
                with self._progress():
                    build(new)
                _write_marker(new, facts)
        return True

    @contextmanager
    def _progress(self) -> Iterator[None]:
        """Report progress from a thread, as the build itself is one call that takes minutes."""
        began, ended = time.monotonic(), threading.Event()

        def tell() -> None:
            while not ended.wait(self.tell_every_s):
                self.notify(f"building the engine: {time.monotonic() - began:.0f} s")

        self.notify("building the engine for this device, once; this can take minutes")
        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        self.notify(f"built the engine in {time.monotonic() - began:.0f} s")


def is_complete(folder: Path, facts: Mapping[str, str]) -> bool:
    """Whether the folder holds a complete engine of these facts, with every file unchanged since its build."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        files: dict[str, str] = dict(marker["files"])
        return dict(marker["facts"]) == dict(facts) and all(
            sha256_of(folder / name) == digest for name, digest in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_marker(folder: Path, facts: Mapping[str, str]) -> None:
    files = {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    if not files:
        raise WorkError("the provider built an engine but did not write it: cache options fail in this version")
    document: dict[str, Any] = {"facts": dict(facts), "files": files}
    replace_text(folder / MARKER, json.dumps(document, indent=2, sort_keys=True), mode=SHARED)


@contextmanager
def _locked(path: Path, notify: Notify) -> Iterator[None]:
    """Hold the lock file; a lock left by a dead process is ignored."""
    lock = take(path, lambda: notify("another process is building an engine: waiting for it"), quiet_s=0)
    try:
        yield
    finally:
        lock.release()
