"""Sources of `metaser stream` other than a plain file: encoded audio and pipes, with their notices."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import TypeAlias

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import RATE_HZ, ClipMaker, Run, Start
from tests.runtime.audio.recordings import Samples, by_ffmpeg, encoded, mp3

Events: TypeAlias = "list[dict[str, str]]"
Feed: TypeAlias = Callable[..., "tuple[int, Events, str]"]

pytestmark = pytest.mark.usefixtures("enrolled")


@pytest.fixture
def speech(make_clip: ClipMaker) -> Samples:
    """A calm and a keen utterance between silences."""
    pause = np.zeros(RATE_HZ // 2, np.float32)
    return np.concatenate([pause, make_clip("calm", 1.8, 7), pause, pause, make_clip("keen", 1.8, 8), pause, pause])


def fed(process: Popen[str], content: bytes, into: int) -> tuple[int, Events, str]:
    """Exit code, events and messages of a process that reads this from a pipe."""

    def feed() -> None:
        with suppress(BrokenPipeError), os.fdopen(into, "wb") as end:
            end.write(content)

    thread = threading.Thread(target=feed)
    thread.start()
    output, said = process.communicate(timeout=60)
    thread.join()
    return process.returncode, [json.loads(line) for line in output.splitlines()], said


def labels(events: Events) -> list[str]:
    return [event["label"] for event in events if event["event"] == "leave"]


@pytest.fixture
def piped(start: Start) -> Feed:
    """`piped(content, "--rate", "8000")`: `metaser stream - --json` with this on standard input."""

    def stream(content: bytes, *words: str) -> tuple[int, Events, str]:
        ours, theirs = os.pipe()
        with start("stream", "-", "--json", *words, stdin=ours) as process:
            os.close(ours)
            return fed(process, content, theirs)

    return stream


ENCODED: dict[str, Callable[[Samples], bytes]] = {
    "FLAC": lambda speech: encoded("FLAC", "PCM_16", speech),
    "Ogg Opus": lambda speech: encoded("OGG", "OPUS", speech),
    "Ogg Vorbis": lambda speech: encoded("OGG", "VORBIS", speech),
    "MP3": mp3,
    "AIFF": lambda speech: encoded("AIFF", "PCM_16", speech),
    "W64": lambda speech: encoded("W64", "PCM_16", speech),
    "RF64": lambda speech: encoded("RF64", "PCM_16", speech),
    "RIFX": lambda speech: encoded("WAV", "PCM_16", speech, endian="BIG"),
    "AU": lambda speech: encoded("AU", "ULAW", speech),
    "WAV with ADPCM": lambda speech: encoded("WAV", "IMA_ADPCM", speech),
    "WAV with GSM": lambda speech: encoded("WAV", "GSM610", speech),
}


@pytest.mark.parametrize("kind", ENCODED)
def test_encoded_sound_on_a_pipe_is_decoded(piped: Feed, speech: Samples, kind: str) -> None:
    code, events, _ = piped(ENCODED[kind](speech))
    assert (code, labels(events)) == (0, ["calm", "keen"])


def test_aac_in_mp4_on_a_pipe_is_decoded(piped: Feed, speech: Samples) -> None:
    pytest.importorskip("av")
    code, events, _ = piped(by_ffmpeg("ipod", "aac", speech))
    assert (code, labels(events)) == (0, ["calm", "keen"])


def test_text_and_samples_of_another_format_are_named(piped: Feed, speech: Samples) -> None:
    code, events, said = piped(b"hello, this is no audio at all, but a sentence that somebody piped by mistake\n")
    assert (code, events, said) == (2, [], "metaser: standard input holds text: pipe WAV or raw samples\n")
    code, _, said = piped(speech.tobytes())
    assert code == 2
    assert said == (
        "metaser: standard input looks like f32le and is read as s16le: give --sample-format f32le, or pipe WAV\n"
    )


def test_raw_samples_without_speech_ask_whether_they_were_read_rightly(piped: Feed) -> None:
    code, _, said = piped(bytes(64_000))
    assert code == 0
    assert "It was read as raw s16le, 1 channel at 16000 Hz: check --sample-format" in said


def test_a_recording_that_is_cut_is_reported_in_text_and_json(
    run: Run, piped: Feed, speech: Samples, tmp_path: Path
) -> None:
    content = encoded("WAV", "PCM_16", speech)
    content = content[: len(content) * 3 // 8 * 2]
    seconds = len(speech) / RATE_HZ
    words = f"it is cut off: {0.75 * seconds:.1f} s were read and {0.25 * seconds:.1f} s are missing"
    (tmp_path / "cut.wav").write_bytes(content)
    result = run("stream", tmp_path / "cut.wav", "--json")
    _, events, said = piped(content)
    for printed, message in ((json.loads(result.stdout.splitlines()[-1]), result.stderr), (events[-1], said)):
        assert printed == {"event": "notice", "message": words}
        assert words in message


def test_channels_that_cancel_are_heard_and_reported(piped: Feed, speech: Samples) -> None:
    code, events, said = piped(encoded("WAV", "PCM_16", np.stack([speech, -speech], axis=1)))
    assert (code, labels(events)) == (0, ["calm", "keen"])
    assert "its channels cancel each other" in said


def test_a_fifo_and_a_device_name_of_standard_input_are_read(start: Start, speech: Samples, tmp_path: Path) -> None:
    content = encoded("WAV", "PCM_16", speech)
    os.mkfifo(tmp_path / "fifo")
    with start("stream", tmp_path / "fifo", "--json") as process:
        into = os.open(tmp_path / "fifo", os.O_WRONLY)
        code, events, _ = fed(process, content, into)
    assert (code, labels(events)) == (0, ["calm", "keen"])
    ours, theirs = os.pipe()
    with start("stream", "/dev/stdin", "--json", stdin=ours) as process:
        os.close(ours)
        code, events, _ = fed(process, content, theirs)
    assert (code, labels(events)) == (0, ["calm", "keen"])


def test_a_fifo_is_classified(start: Start, speech: Samples, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with start("classify", tmp_path / "fifo", "--json") as process:
        into = os.open(tmp_path / "fifo", os.O_WRONLY)
        code, (answer,), _ = fed(process, encoded("WAV", "PCM_16", speech[: RATE_HZ * 2]), into)
    assert (code, answer["label"]) == (0, "calm")


def test_standard_input_is_classified_as_a_file_and_as_a_pipe(start: Start, speech: Samples, tmp_path: Path) -> None:
    content = encoded("WAV", "PCM_16", speech[: RATE_HZ * 2])
    ours, theirs = os.pipe()
    with start("classify", "-", "--json", stdin=ours) as process:
        os.close(ours)
        code, (answer,), _ = fed(process, content, theirs)
    assert (code, answer["file"], answer["label"]) == (0, "-", "calm")
    (tmp_path / "clip.wav").write_bytes(content)
    with (tmp_path / "clip.wav").open("rb") as file, start("classify", "-", "--json", stdin=file.fileno()) as process:
        output, _ = process.communicate(timeout=30)
    assert json.loads(output)["label"] == "calm"


def test_a_terminal_on_standard_input_is_refused_with_what_to_pipe(start: Start) -> None:
    ours, theirs = pty.openpty()
    with start("stream", "-", stdin=theirs) as process:
        output, said = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, output) == (2, "")
    assert said.startswith("metaser: standard input is a terminal: pipe sound into it (arecord ")


@pytest.mark.parametrize(("command", "instead"), [("stream", "--mic or a FILE"), ("classify", "a FILE")])
def test_a_closed_standard_input_is_one_line(settings: dict[str, str], command: str, instead: str) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m metaser.cli {command} - <&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"standard input is closed: pipe sound into it, or give {instead}\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rate", "8000"), "--rate: only for raw samples on standard input; a file states its own format"),
        (("--channels", "2", "--sample-format", "f32le"), "--channels and --sample-format: only for raw samples"),
        (("--device", "usb"), "--device is for a microphone: give it without a FILE"),
    ],
)
def test_options_that_a_file_would_ignore_are_refused(
    refused: Callable[..., str], conversation: Path, words: tuple[str, ...], said: str
) -> None:
    assert refused("stream", conversation, *words).startswith(said)


def test_realtime_with_a_microphone_is_refused(refused: Callable[..., str]) -> None:
    assert refused("stream", "--mic", "--realtime").startswith("--realtime is for a FILE")


@pytest.mark.usefixtures("enrolled")
def test_the_rate_given_for_a_pipe_that_states_its_own_is_named(start: Start, conversation: Path) -> None:
    with conversation.open("rb") as sound, start("stream", "-", "--rate", "8000", stdin=sound.fileno()) as process:
        printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "standard input states its own format: --rate not used." in printed


@pytest.mark.usefixtures("enrolled")
def test_clipped_speech_is_noticed_once(run: Run, make_clip: ClipMaker, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.clip(30 * make_clip("calm", 3.0, 1), -1, 1), 16_000)
    result = run("stream", tmp_path / "loud.wav", "--json")
    assert result.stderr.count("loud.wav: it is clipped (") == 1
    (notice,) = (event for event in map(json.loads, result.stdout.splitlines()) if event["event"] == "notice")
    assert "of its samples are cut off), and labels may be wrong: lower the level" in notice["message"]
