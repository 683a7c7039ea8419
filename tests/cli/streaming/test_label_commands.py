"""`metaser stream --on-label`."""

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from metaser.cli.streaming.label_commands import LabelCommands, read_commands
from metaser.cli.streaming.playback import Heard
from metaser.runtime import InputError, StreamEvent

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]
LABELS = ("anger", "joy=fun", "joy")


class NoView:
    """A view that only keeps its events."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []

    def on_event(self, event: StreamEvent) -> None:
        self.events.append(event)

    def refresh(self, heard: Heard) -> None:
        """Nothing is shown."""


def begins(label: str) -> StreamEvent:
    return StreamEvent("enter", label, 1.5, None, 0.75, {}, 0.0)


def writes(path: Path) -> str:
    code = f"import os; open({str(path)!r}, 'a').write(os.environ['METASER_LABEL'] + os.environ['METASER_START_S'])"
    return f"{sys.executable} -c {shlex.quote(code)}"


@pytest.mark.usefixtures("enrolled")
def test_each_label_of_a_stream_runs_its_command(run: Run, conversation: Path, tmp_path: Path) -> None:
    heard = tmp_path / "it's heard.txt"
    words = [f"--on-label={label}={writes(heard)}" for label in ("calm", "keen")]
    result = run("stream", conversation, "--format", "csv", *words)
    assert result.returncode == 0
    assert result.stdout.count("\n") == 3
    said = heard.read_text()
    assert "calm0." in said
    assert "keen" in said


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("calm", "give LABEL=COMMAND with one of calm, keen, silence, unknown"),
        ("joy=true", "give LABEL=COMMAND"),
        ("calm=", "it is empty"),
        ("calm=echo 'a", "a quotation mark is missing"),
        ("calm=no-such-program", "no such command: no-such-program"),
    ],
)
def test_what_cannot_run_is_refused_before_the_stream_begins(
    refused: Refused, conversation: Path, given: str, said: str
) -> None:
    assert said in refused("stream", conversation, "--on-label", given)


def test_a_label_may_contain_the_sign_that_ends_it() -> None:
    assert read_commands(["joy=fun=echo a", "joy=echo 'b c'"], LABELS) == {
        "joy=fun": ["echo", "a"],
        "joy": ["echo", "b c"],
    }


def test_nothing_is_run_by_a_shell(tmp_path: Path) -> None:
    (words,) = read_commands([f"joy=echo $HOME; touch {tmp_path / 'made'}"], LABELS).values()
    commands = LabelCommands({"joy": words}, NoView())
    commands.on_event(begins("joy"))
    commands.close()
    assert list(tmp_path.iterdir()) == []


def test_a_slow_command_is_not_started_twice_and_nothing_waits_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    view = NoView()
    slow = f"{sys.executable} -c \"import time; time.sleep(1); open('{tmp_path}/done', 'a').write('x')\""
    commands = LabelCommands(read_commands([f"unknown={slow}"], LABELS), view)
    began = time.monotonic()
    ends = StreamEvent("leave", None, 1.5, 2.5, 0.4, {}, 0.0)
    commands.on_event(ends)
    commands.on_event(ends)
    assert time.monotonic() - began < 0.9
    assert len(view.events) == 2
    assert "still runs" in capsys.readouterr().err
    commands.close()
    assert (tmp_path / "done").read_text() == "x"


def test_a_failing_command_is_reported_and_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    commands = LabelCommands(read_commands(["silence=false"], LABELS), NoView())
    quiet = StreamEvent("silence", None, 0.0, None, 0.0, {}, 0.0)
    for _ in range(2):
        commands.on_event(quiet)
        commands.close()
    assert capsys.readouterr().err.count("The command for silence ended with exit code 1.") == 2


def test_a_command_that_vanished_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = LabelCommands({"joy": [str(tmp_path / "gone")]}, NoView())
    commands.on_event(begins("joy"))
    assert "cannot be started" in capsys.readouterr().err


def test_an_unknown_label_is_an_input_error() -> None:
    with pytest.raises(InputError, match="fear"):
        read_commands(["fear=true"], LABELS)


def test_a_label_that_comes_with_an_update_runs_once_per_segment(tmp_path: Path) -> None:
    path = tmp_path / "heard"
    commands = LabelCommands(
        read_commands([f"{label}={writes(path)}" for label in ("joy", "unknown")], LABELS), NoView()
    )
    for name, label in (("enter", None), ("update", "joy"), ("update", "joy"), ("leave", "joy"), ("enter", None)):
        commands.on_event(StreamEvent(name, label, 1.5, None, 0.7, {}, 0.0))  # type: ignore[arg-type]
    commands.close()
    assert path.read_text() == "joy1.500"
    commands.on_event(StreamEvent("leave", None, 3.0, 4.0, 0.4, {}, 0.0))
    commands.close()
    assert path.read_text() == "joy1.500unknown3.000"


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("echo hit >> f", """--on-label 'anger=sh -c "echo hit >> f"'"""),
        ('echo "hit" | cat', """--on-label 'anger=sh -c '"'"'echo "hit" | cat'"'"''"""),
        ("sh -c 'echo hit >> f'", ""),
        ("echo hit", ""),
    ],
)
def test_characters_of_a_shell_are_named_with_the_command_for_one(
    capsys: pytest.CaptureFixture[str], command: str, advice: str
) -> None:
    read_commands([f"anger={command}"], LABELS)
    said = capsys.readouterr().err
    assert said.rstrip("\n").endswith(advice)
    assert said.count("no shell runs this command") == bool(advice)
    if advice:
        words = shlex.split(advice)
        assert words[0] == "--on-label"
        assert read_commands(words[1:], LABELS) == {"anger": ["sh", "-c", command]}
