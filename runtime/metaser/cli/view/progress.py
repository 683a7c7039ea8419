"""A progress bar for slow work."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

SLOW_S = 1.0


class SlowProgress:
    """A progress bar on standard error that appears when the work takes longer than a second."""

    def __init__(self, task: str, *, as_json: bool) -> None:
        self._task = task
        self._wanted = sys.stderr.isatty() and not (as_json and sys.stdout.isatty())
        self._began = time.monotonic()
        self._progress: Progress | None = None

    def __enter__(self) -> SlowProgress:
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show progress: `done` of `total` items."""
        if not self._wanted or time.monotonic() - self._began < SLOW_S:
            return
        if self._progress is None:
            from rich.progress import Progress

            from metaser.cli.view.terminal import PlainConsole

            self._progress = Progress(console=PlainConsole(stderr=True), transient=True, redirect_stdout=False)
            self._progress.add_task(self._task)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
