"""`metaser stream` in a pipeline: its standard input, and readers of its output that stop or close."""

import csv
import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from subprocess import Popen
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from metaser.runtime.words import counted

Start: TypeAlias = Callable[..., Popen[str]]
ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
RATE_HZ = 16_000
SMALLEST_PIPE = 4096
TURNS = 8

pytestmark = pytest.mark.usefixtures("enrolled")


@pytest.fixture
def speech(make_clip: ClipMaker) -> npt.NDArray[np.float32]:
    """A calm and a keen utterance between silences."""
    pause = np.zeros(RATE_HZ // 2, np.float32)
    return np.concatenate([pause, make_clip("calm", 1.8, 7), pause, pause, make_clip("keen", 1.8, 8), pause, pause])


def piped(start: Start, content: bytes, *words: str) -> tuple[int, list[str], str]:
    """Exit code, labels of finished segments, and stderr of `metaser stream - --json` with this on standard input."""
    ours, theirs = os.pipe()
    with start("stream", "-", "--json", *words, stdin=ours) as process:
        os.close(ours)
        with suppress(BrokenPipeError), os.fdopen(theirs, "wb") as end:  # it may close the pipe early
            end.write(content)
        output, said = process.communicate(timeout=30)
    events = [json.loads(line) for line in output.splitlines()]
    return process.returncode, [event["label"] for event in events if event["event"] == "leave"], said


def wav(path: Path, samples: npt.NDArray[np.float32], rate_hz: int, channels: int = 1) -> bytes:
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate_hz, "PCM_16")
    return path.read_bytes()


def test_raw_samples_are_read_as_described_and_half_a_sample_at_the_end_is_reported(
    start: Start, speech: npt.NDArray[np.float32]
) -> None:
    fast = np.clip(soxr.resample(speech, RATE_HZ, 44_100), -1, 1)
    content = np.repeat(np.round(fast * 8_388_607).astype("<i4"), 2).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    words = ("--rate", "44100", "--channels", "2", "--sample-format", "s24le")
    code, labels, said = piped(start, content + b"12345", *words)
    assert (code, labels) == (0, ["calm", "keen"])
    assert "standard input: it ended within a sample: its last 5 bytes were left out" in said


def test_samples_that_are_no_number_end_it_and_what_came_before_was_heard(
    start: Start, speech: npt.NDArray[np.float32]
) -> None:
    content = speech.astype("<f4").tobytes() + np.full(20_000, np.nan, "<f4").tobytes()
    code, labels, said = piped(start, content, "--sample-format", "f32le")
    assert (code, labels) == (2, ["calm", "keen"])
    assert said.splitlines()[-1].startswith("metaser: standard input holds NaN or infinite samples")


@pytest.mark.parametrize(("rate_hz", "channels"), [(22_050, 1), (16_000, 2)])
def test_a_rate_or_channel_count_that_changes_ends_it_and_what_came_before_was_heard(
    start: Start, speech: npt.NDArray[np.float32], tmp_path: Path, rate_hz: int, channels: int
) -> None:
    content = wav(tmp_path / "a.wav", speech, RATE_HZ) + wav(tmp_path / "b.wav", speech, rate_hz, channels)
    code, labels, said = piped(start, content)
    assert (code, labels) == (2, ["calm", "keen"])
    assert f"changes from 16000 Hz, 1 channel to {rate_hz} Hz, {counted(channels, 'channel')}" in said.splitlines()[-1]


def test_nothing_on_standard_input_is_refused(start: Start) -> None:
    code, labels, said = piped(start, b"")
    assert (code, labels) == (2, [])
    assert said == "metaser: standard input holds no samples: is the program before the pipe running?\n"


def test_a_reader_who_leaves_ends_it_with_the_summary_and_code_0(start: Start, conversation: Path) -> None:
    with start("stream", conversation, "--realtime", "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        said = process.stderr.read()
    assert "Segments: " in said
    assert "Traceback" not in said
    assert "Broken" not in said


def test_a_file_waits_for_a_reader_who_rests(start: Start, conversation: Path) -> None:
    words = ("stream", conversation, "--json", "--hop", "0.05")
    with start(*words) as process:
        expected, _ = process.communicate(timeout=30)
    ours, theirs = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    assert len(expected) > 1.2 * SMALLEST_PIPE
    with start(*words, stdout=theirs) as process, os.fdopen(ours) as reader:
        os.close(theirs)
        time.sleep(2)
        assert process.poll() is None
        output = reader.read()
        assert process.wait(timeout=60) == 0
    assert without_latency(output) == without_latency(expected)


def test_a_live_stream_whose_reader_rests_loses_audio_says_so_and_does_not_grow(
    start: Start, speech: npt.NDArray[np.float32]
) -> None:
    minute = np.tile(np.concatenate([speech] * 4), 3)
    content = np.round(minute * 32_767).astype("<i2").tobytes()
    ours, theirs = os.pipe()
    sound, feeder = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    words = ("stream", "-", "--live", "--json", "--hop", "0.05")
    with start(*words, stdin=sound, stdout=theirs) as process, os.fdopen(ours) as reader:
        os.close(sound)
        os.close(theirs)
        held_mb = []
        with os.fdopen(feeder, "wb") as end:
            for _ in range(TURNS):  # ten minutes; nobody reads the output, but the input is still consumed
                end.write(content)
                pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
                held_mb.append(int(pages) * os.sysconf("SC_PAGESIZE") / 1e6)
        assert process.poll() is None
        events = [json.loads(line) for line in reader]
        assert process.wait(timeout=60) == 0
    lasted_s = TURNS * len(minute) / RATE_HZ
    (loss,) = [event for event in events if event["event"] == "overload" and event["end_s"] - event["start_s"] > 60]
    assert loss["dropped_ms"] / 1000 == pytest.approx(loss["end_s"] - loss["start_s"], abs=15)
    assert loss["end_s"] == pytest.approx(lasted_s, abs=15)  # the ring holds the last ten seconds
    assert [event for event in events if event["event"] == "leave"][-1]["end_s"] > lasted_s - 15
    assert max(held_mb) - held_mb[2] < 10


def without_latency(output: str) -> list[dict[str, object]]:
    return [{**json.loads(line), "latency_ms": 0} for line in output.splitlines()]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_events_of_a_live_source_have_the_time_of_day(
    start: Start, conversation: Path, form: str, tmp_path: Path
) -> None:
    samples, rate_hz = soundfile.read(conversation)
    soundfile.write(tmp_path / "piped.wav", samples, rate_hz)
    before = datetime.now(timezone.utc)
    words = ("stream", "-", "--live", "--format", form)
    with (tmp_path / "piped.wav").open("rb") as file, start(*words, stdin=file.fileno()) as process:
        output, _ = process.communicate(timeout=20)
    lines = output.splitlines()
    rows = [json.loads(line) for line in lines] if form == "json" else list(csv.DictReader(lines))
    times = [datetime.fromisoformat(row["time"]) for row in rows if row.get("event") != "notice"]
    assert times
    assert times == sorted(times)
    assert before - timedelta(seconds=1) <= times[0] <= times[-1] <= datetime.now(timezone.utc)
