"""Log of a run: one JSON line per step, TensorBoard if installed, and a progress bar on a terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from metaser.runtime.system.files import SHARED, open_to_append, replace_text

LOG_FILE = "log.jsonl"


class TrainingLog:
    """Writes the records and the progress of a run. One process writes; in the others `quiet` disables it.

    With `after_step`, records of later steps are dropped, because these steps run again.
    """

    def __init__(self, out: Path, total: int, after_step: int, notify: Callable[[str], None], *, quiet: bool) -> None:
        self._notify = notify
        self._quiet = quiet
        if quiet:
            return
        path = out / LOG_FILE
        kept = [line for line in _lines(path) if _step(line) <= after_step] if after_step else []
        replace_text(path, "".join(f"{line}\n" for line in kept), mode=SHARED)
        self._file = open_to_append(path)
        self._board = _open_board(out / "tensorboard", after_step)
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console, disable=not console.is_terminal, redirect_stdout=False,
            redirect_stderr=False, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("training", total=total, completed=after_step)
        if self._board is None:
            self.write("note", text="no TensorBoard: pip install tensorboard")

    def __enter__(self) -> TrainingLog:
        if not self._quiet:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._quiet:
            self._bar.stop()
            self._file.close()
            if self._board is not None:
                self._board.close()

    def write(self, event: str, **values: Any) -> None:
        """Write one JSON line, and one point per number in TensorBoard if there is a `step`."""
        if self._quiet:
            return
        self._file.write(f"{json.dumps({'event': event, **values})}\n".encode())
        self._file.flush()
        if self._board is not None and "step" in values:
            for name, value in values.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{event}/{name}", value, values["step"])

    def advance(self, step: int, text: str) -> None:
        """Advance the progress bar."""
        if not self._quiet:
            self._bar.update(self._task, completed=step, description=text)

    def notify(self, line: str) -> None:
        """Print one line for the user."""
        if not self._quiet:
            self._notify(line)


def _step(line: str) -> float:
    """The step of a record; an incomplete line of a killed run counts as a step that is dropped."""
    try:
        return float(json.loads(line).get("step", 0))
    except (ValueError, AttributeError, TypeError):
        return math.inf


def _lines(path: Path) -> list[str]:
    """The complete lines of a log, without a last line that a crash truncated."""
    if not path.exists():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return lines


def _open_board(folder: Path, after_step: int) -> Any:
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=after_step + 1)
