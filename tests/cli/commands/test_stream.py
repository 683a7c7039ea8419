"""`metaser stream`."""

import json
import os
import pty
import re
import signal
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any, TypeAlias

import numpy as np
import pytest
import soundfile

from metaser.cli.commands.stream import stream
from metaser.runtime import StreamSettings

Run: TypeAlias = Callable[..., CompletedProcess[str]]
BadClip: TypeAlias = Callable[[str], tuple[Path, str]]
Refused: TypeAlias = Callable[..., str]
Start: TypeAlias = Callable[..., Popen[str]]

pytestmark = pytest.mark.usefixtures("enrolled")
KEYS = ["event", "label", "start_s", "end_s", "confidence", "scores", "latency_ms", "dropped_ms", "provider"]


def leaves(output: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in output.splitlines()]
    return [event for event in events if event["event"] == "leave"]


def test_events_are_json_lines_with_the_right_labels(run: Run, conversation: Path) -> None:
    result = run("stream", conversation, "--json")
    assert result.returncode == 0
    assert all(list(json.loads(line)) == KEYS for line in result.stdout.splitlines())
    calm, keen = leaves(result.stdout)
    assert (calm["label"], keen["label"]) == ("calm", "keen")
    assert calm["start_s"] == pytest.approx(0.5, abs=0.4)
    assert keen["end_s"] == pytest.approx(5.1, abs=0.4)
    assert "Segments: 2." in result.stderr


def test_standard_input_gives_what_the_file_gives(run: Run, start: Start, conversation: Path, tmp_path: Path) -> None:
    samples, rate_hz = soundfile.read(conversation)
    soundfile.write(tmp_path / "piped.wav", samples, rate_hz)
    words = ("--format", "csv")
    expected = run("stream", tmp_path / "piped.wav", *words).stdout
    with (tmp_path / "piped.wav").open("rb") as piped, start("stream", "-", *words, stdin=piped.fileno()) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output == expected
    assert output.startswith("start_s,end_s,label,confidence\n")
    assert output.count("\n") == 3


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("srt", r"1\n00:00:00,\d+ --> 00:00:02,\d+\ncalm\n\n2\n00:00:0[34],\d+ --> 00:00:0[45],\d+\nkeen\n\n"),
        ("audacity", r"0\.\d{6}\t2\.\d{6}\tcalm\n3\.\d{6}\t[45]\.\d{6}\tkeen\n"),
    ],
)
def test_segments_are_written_for_other_programs(run: Run, conversation: Path, form: str, pattern: str) -> None:
    assert re.fullmatch(pattern, run("stream", conversation, "--format", form).stdout)


def test_the_stream_is_recorded_for_enrolment(run: Run, conversation: Path, tmp_path: Path) -> None:
    result = run("stream", conversation, "--record", tmp_path / "kept")
    assert "Recording audio and labels into" in result.stdout
    clips = {path.parent.name: soundfile.info(path).duration for path in (tmp_path / "kept").glob("*/*.wav")}
    assert clips == {"calm": pytest.approx(1.8, abs=0.4), "keen": pytest.approx(1.8, abs=0.4)}
    assert [soundfile.info(path).frames for path in (tmp_path / "kept").glob("*.wav")] == [
        soundfile.info(conversation).frames
    ]


@pytest.mark.parametrize("words", [(), ("--mic", "clip.wav"), ("clip.wav", "--live"), ("-", "--sample-format", "mp3")])
def test_sources_that_exclude_each_other_are_refused(run: Run, words: tuple[str, ...]) -> None:
    assert run("stream", *words, "--hop", "0.5").returncode == 2


def test_json_numbers_are_rounded(run: Run, conversation: Path) -> None:
    for line in run("stream", conversation, "--json").stdout.splitlines():
        event = json.loads(line)
        assert event["start_s"] == round(event["start_s"], 3)
        assert event["confidence"] == round(event["confidence"], 4)


def test_without_a_terminal_each_finished_segment_is_a_line(run: Run, conversation: Path) -> None:
    result = run("stream", conversation)
    first, second = (line for line in result.stdout.splitlines() if "%" in line)
    assert re.fullmatch(r"0:00\.\d\d - 0:0\d\.\d\d  calm +\d+ %", first)
    assert re.fullmatch(r"0:0\d\.\d\d - 0:0\d\.\d\d  keen +\d+ %", second)
    assert "Real-time factor: 0." in result.stdout
    assert result.stderr == ""


def test_a_recording_without_speech_ends_well_and_says_so(run: Run, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(16_000), 16_000)
    result = run("stream", tmp_path / "quiet.wav")
    assert result.returncode == 0
    assert "No speech was found" in result.stdout


@pytest.mark.parametrize("kind", ["absent", "unreadable", "empty", "no samples", "not a number"])
def test_a_bad_recording_is_refused(refused: Refused, bad_clip: BadClip, kind: str) -> None:
    path, words = bad_clip(kind)
    assert words in refused("stream", path)


def test_two_formats_at_once_are_refused(refused: Refused, conversation: Path) -> None:
    assert refused("stream", conversation, "--json", "--format", "csv") == "give either --json or --format csv"


def test_a_headerless_recording_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "sound.raw").write_bytes(bytes(32_000))
    assert "convert it to WAV or FLAC" in refused("stream", tmp_path / "sound.raw")


@pytest.mark.parametrize(
    ("window", "hop"), [("0", "0.5"), ("1", "2"), ("nan", "0.5"), ("3", "-1"), ("inf", "0.5"), ("3", "1e-9")]
)
def test_impossible_windows_are_refused(refused: Refused, conversation: Path, window: str, hop: str) -> None:
    said = refused("stream", conversation, "--window", window, "--hop", hop)
    assert "must be" in said or "give a finite number" in said


def test_a_short_window_needs_no_second_of_speech(run: Run, conversation: Path) -> None:
    result = run("stream", conversation, "--window", "0.5", "--hop", "0.25", "--json")
    assert [event["label"] for event in leaves(result.stdout)] == ["calm", "keen"]


def test_the_defaults_are_those_of_the_library() -> None:
    parameters = signature(stream).parameters
    assert parameters["window_s"].default == StreamSettings.window_s
    assert parameters["hop_s"].default == StreamSettings.hop_s


def test_an_interrupt_ends_with_the_summary_and_code_0(start: Start, conversation: Path) -> None:
    with start("stream", conversation, "--realtime", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "enter"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert leaves(output)[0]["label"] == "calm"
    assert "Segments: 1." in errors
    assert "Traceback" not in errors


def test_on_a_terminal_the_labels_move(start: Start, conversation: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm", "NO_COLOR": ""}
    with start("stream", conversation, "--realtime", env=environment, stdout=theirs) as process:
        os.close(theirs)
        shown = read_all(ours)
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert "silence" in shown
    assert "Ctrl-C ends" in shown
    assert re.search(r"calm.* \d+ %  since 0:0", shown)
    assert "Real-time factor: " in shown.splitlines()[-1]


def read_all(descriptor: int) -> str:
    content = b""
    try:
        while block := os.read(descriptor, 65_536):
            content += block
    except OSError:  # Linux raises this if the other side is closed
        pass
    finally:
        os.close(descriptor)
    return content.decode()


@pytest.mark.usefixtures("enrolled")
def test_a_folder_is_refused_with_the_command_for_it(run: Run, tmp_path: Path) -> None:
    result = run("stream", tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        f"metaser: {tmp_path} is a folder: give one FILE, or label the files in it with `metaser classify`\n"
    )
