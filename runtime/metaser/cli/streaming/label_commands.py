"""Commands that run when a label begins: `--on-label LABEL=COMMAND`, for lamps, GPIO pins and scripts."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from metaser.cli.view.console import print_status
from metaser.cli.view.drawing import UNKNOWN

if TYPE_CHECKING:
    from metaser.cli.streaming.playback import Heard, View
    from metaser.runtime import StreamEvent

SILENCE = "silence"
FINISH_S = 5.0
"""How long the end of the stream waits for commands that still run."""

OPERATORS = tuple(">|&;$`")
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")

Commands = Mapping[str, Sequence[str]]


def read_commands(given: Iterable[str], labels: Sequence[str], *, may_be_unknown: bool = True) -> Commands:
    """Label -> the words of its command, from `LABEL=COMMAND`; no shell is involved.

    Raises:
        InputError: there is no such label, or the command is empty, badly quoted or not installed.
    """
    from metaser.runtime import InputError

    commands = {}
    names = sorted({*labels, UNKNOWN, SILENCE}, key=len, reverse=True)
    for text in given:
        label = next((name for name in names if text.startswith(f"{name}=")), None)
        if label == UNKNOWN and not may_be_unknown:
            raise InputError("--on-label unknown= never runs with --unknown off: leave one of them out")
        if label in commands:
            raise InputError(f"--on-label {text}: {label} has a command already; to run both: sh -c 'ONE; OTHER'")
        if label == SILENCE and SILENCE in labels:
            raise InputError("--on-label silence=: a class has this name too: rename the class and enrol again")
        if label is None:
            raise InputError(f"--on-label {text}: give LABEL=COMMAND with one of {', '.join(sorted(names))}")
        try:
            words = shlex.split(text.removeprefix(f"{label}="))
        except ValueError:
            raise InputError(f"--on-label {text}: a quotation mark is missing in the command") from None
        if not words or shutil.which(words[0]) is None:
            raise InputError(f"--on-label {text}: no such command: {words[0] if words else 'it is empty'}")
        if any(operator in text for operator in OPERATORS) and os.path.basename(words[0]) not in SHELLS:  # noqa: PTH119
            print_status(_no_shell(label, text.removeprefix(f"{label}=")))
        commands[label] = words
    return commands


def _no_shell(label: str, command: str) -> str:
    """Say that no shell runs the command, and how to use one."""
    quoted = shlex.quote(command) if set(command) & set('"\\') else f'"{command}"'
    return (
        f"--on-label {label}: no shell runs this command, so characters such as > and | have no effect; to use one: "
        f"--on-label {shlex.quote(f'{label}=sh -c {quoted}')}"
    )


class LabelCommands:
    """Run commands as labels begin, and pass everything on to the view; the stream never waits for a command."""

    def __init__(self, commands: Commands, view: View) -> None:
        self._commands = commands
        self._view = view
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._shown: str | None = None  # label of the open segment for which a command ran

    def on_event(self, event: StreamEvent) -> None:
        """Show the event, and run the command of a label that is new, of a segment without one, or of silence.

        A segment often begins as unknown and gets its label in an update, so unknown is known only at its end.
        """
        self._view.on_event(event)
        if event.event == "silence":
            self._run(SILENCE, event)
        elif event.event == "overload":
            return
        elif event.label not in (None, self._shown):
            self._run(str(event.label), event)
            self._shown = event.label
        elif event.event == "leave" and event.label is None:
            self._run(UNKNOWN, event)
        if event.event in ("leave", "silence"):
            self._shown = None

    def refresh(self, heard: Heard) -> None:
        """Pass the state on to the view."""
        self._view.refresh(heard)

    def close(self) -> None:
        """Wait a few seconds for the last commands."""
        for label, process in list(self._running.items()):
            with suppress(subprocess.TimeoutExpired):
                process.wait(FINISH_S)
                self._has_ended(label)

    def _run(self, label: str, event: StreamEvent) -> None:
        if label not in self._commands:
            return
        if not self._has_ended(label):
            print_status(f"The command for {label} still runs: it was not started again.")
            return
        variables = {
            "METASER_LABEL": label,
            "METASER_CONFIDENCE": f"{event.confidence:.4f}",
            "METASER_START_S": f"{event.start_s:.3f}",
        }
        try:
            self._running[label] = subprocess.Popen(  # noqa: S603 # the user's own command, without a shell
                self._commands[label],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=2,  # standard output is the stream's own
                start_new_session=True,  # Ctrl-C ends the stream and not the command
            )
        except OSError as error:
            print_status(f"The command for {label} cannot be started: {error.strerror or error}")

    def _has_ended(self, label: str) -> bool:
        """Whether no command of the label runs; a failed one is reported once."""
        if label not in self._running:
            return True
        code = self._running[label].poll()
        if code is None:
            return False
        del self._running[label]
        if code:
            print_status(f"The command for {label} ended with exit code {code}.")
        return True
