"""The progress of a long job: a bar on a terminal, elsewhere a line now and then, with rate and time left."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from metaser.cli.view.console import percent, print_status

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from metaser.archive import Progress

LINE_S = 30.0
"""Between two lines of a job without a terminal."""

SETTLED_S = 2.0
"""Before this, a rate says little."""


class JobProgress:
    """Show the progress of a job on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._is_drawn = sys.stderr.isatty() and not (quiet and sys.stdout.isatty())
        self._bar: Bar | None = None
        self._began: float | None = None
        self._line_at = 0.0
        self.text = "0 recordings"
        """How far the job is."""

    def __enter__(self) -> JobProgress:
        return self

    def __call__(self, state: Progress) -> None:
        """Show how far the job is."""
        now = time.monotonic()
        if self._began is None and state.new:  # the workers have started
            self._began, self._line_at = now, now + LINE_S
        self.text = described(state, now - (self._began or now))
        if self._is_drawn:
            self._draw(state)
        elif self._began is not None and now >= self._line_at:
            self._line_at = now + LINE_S
            print_status(f"Labelled {self.text}.")

    def _draw(self, state: Progress) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, Progress, TextColumn

            from metaser.cli.view.terminal import PlainConsole

            self._bar = Progress(
                TextColumn("Labelling"),
                BarColumn(bar_width=24),
                TextColumn("{task.description}", markup=False),
                console=PlainConsole(stderr=True),
                transient=True,
                redirect_stdout=False,
            )
            self._bar.add_task("")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=state.done, total=max(1, state.units), description=self.text)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def described(state: Progress, elapsed_s: float) -> str:
    """How far a job is: "1,200 of 2,000 (60 %), 290 times real time, 0:12 left"."""
    parts = [f"{state.done:,} of {state.units:,} ({percent(state.done / max(1, state.units))})"]
    if elapsed_s >= SETTLED_S and state.new > 0:
        if state.audio_s > 0:
            parts.append(f"{state.audio_s / elapsed_s:,.0f} times real time")
        left_s = (state.units - state.done) * elapsed_s / state.new
        parts.append(f"{duration(left_s)} left")
    if state.failed:
        parts.append(f"{state.failed:,} without a label")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A duration as "0:12", "3:05:00" or "2 days 4 h"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days {hours % 24} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
