"""`metaser stream --mic` and `metaser record` on a real capture device: a virtual one that records what is played."""

import json
import os
import pty
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.virtual_microphone import VirtualMicrophone

Start: TypeAlias = Callable[..., Popen[str]]
ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
RATE_HZ = 16_000


@contextmanager
def playing(microphone: VirtualMicrophone, samples: npt.NDArray[np.float32]) -> Iterator[None]:
    """Play in the background; return when the audio is audible."""
    player = microphone.play(samples)
    time.sleep(0.7)
    yield
    player.terminate()
    player.wait()
    time.sleep(0.3)


def read_until(descriptor: int, pattern: str, timeout_s: float = 60.0) -> str:
    """Read a terminal's output until it contains the pattern."""
    shown = ""
    until = time.monotonic() + timeout_s
    while not re.search(pattern, shown):
        assert time.monotonic() < until, shown
        shown += os.read(descriptor, 4096).decode()
    return shown


@pytest.mark.usefixtures("enrolled")
def test_what_is_played_is_labelled_and_an_interrupt_ends_it_with_the_summary(
    start: Start, microphone: VirtualMicrophone, make_clip: ClipMaker
) -> None:
    pause = np.zeros(RATE_HZ // 2, np.float32)
    sound = np.concatenate([pause, make_clip("calm", 1.8, 7), pause, pause, make_clip("keen", 1.8, 8), pause, pause])
    with start("stream", "--mic", "--json", env=microphone.env) as process:
        assert process.stderr is not None
        assert re.fullmatch(r"Listening to default at 16000 Hz\.\n", process.stderr.readline())
        assert microphone.play(sound).wait() == 0
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, said = process.communicate(timeout=60)
    assert process.returncode == 0
    events = [json.loads(line) for line in output.splitlines()]
    left = [event for event in events if event["event"] == "leave"]
    assert [event["label"] for event in left] == ["calm", "keen"]
    assert left[1]["start_s"] - left[0]["start_s"] == pytest.approx(2.8, abs=0.2)
    assert events[-1]["dropped_ms"] == 0
    assert "Segments: 2." in said


@pytest.mark.usefixtures("enrolled")
def test_an_unplugged_microphone_is_reported_waited_for_and_counted(
    start: Start, microphone: VirtualMicrophone
) -> None:
    with start("stream", "--mic", env=microphone.env) as process:
        assert process.stdout is not None
        assert "Listening to default" in process.stdout.readline()
        microphone.unplug()
        assert process.stdout.readline() == "The microphone default is gone: waiting for it.\n"
        assert "audio was lost" in process.stdout.readline()
        microphone.plug_in()
        assert process.stdout.readline() == "The microphone default is back.\n"
        assert re.search(r"audio was lost, \d\.\d\d s so far", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        output, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert re.search(r"Lost: \d\.\d\d s\.", output)


def test_the_devices_are_listed(start: Start, microphone: VirtualMicrophone) -> None:
    with start("stream", "--list-devices", env=microphone.env) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(r"\d+ +default +\d+ +\d+ Hz +yes", output)


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("device", ["absent", "99"])
def test_a_device_that_is_not_there_ends_it_with_code_3(
    start: Start, microphone: VirtualMicrophone, device: str
) -> None:
    with start("stream", "--device", device, env=microphone.env) as process:
        output, said = process.communicate(timeout=60)
    assert (process.returncode, output) == (3, "")
    assert said == f"metaser: no microphone is called '{device}': see `metaser stream --list-devices`\n"


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("words", [("stream", "--mic"), ("record", "joy")])
def test_without_a_sound_system_it_ends_with_code_3_and_says_what_to_do(
    start: Start, tmp_path: Path, words: tuple[str, ...]
) -> None:
    nowhere = {"XDG_RUNTIME_DIR": str(tmp_path), "PULSE_SERVER": f"unix:{tmp_path}/absent"}
    with start(*words, env=nowhere) as process:
        output, said = process.communicate(timeout=60)
    assert (process.returncode, output) == (3, "")
    assert "there is no microphone on this machine" in said or "apt install libportaudio2" in said
    assert said.count("\n") == 1


def test_takes_are_prompted_for_metered_refused_or_kept_and_can_be_enrolled(
    start: Start, microphone: VirtualMicrophone, make_clip: ClipMaker, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    support = tmp_path / "mine"
    words = ("record", "calm", "--count", "2", "--seconds", "1", "--into", support)
    environment = {**microphone.env, "TERM": "xterm"}
    with start(*words, env=environment, stdin=theirs, stdout=theirs) as process:
        os.close(theirs)
        assert "2 takes of 1 s for calm, from default." in read_until(ours, "Take 1 of 2: press Enter and speak")
        os.write(ours, b"\n")
        assert "Refused: the take is silent" in read_until(ours, "press Enter")
        with playing(microphone, np.sign(make_clip("calm", 6.0, 1))):
            os.write(ours, b"\n")
            assert "Refused: the take is clipped" in read_until(ours, "Take 1 of 2: press Enter")
        with playing(microphone, make_clip("calm", 9.0, 1)):
            os.write(ours, b"\n")
            shown = read_until(ours, "Take 2 of 2: press Enter")
            os.write(ours, b"\n")
            shown += read_until(ours, "Next:")
        assert process.wait(timeout=60) == 0
    os.close(ours)
    assert re.search(r"\[#{10,}-*\]  0\.\d s", shown)
    takes = sorted((support / "calm").iterdir())
    assert [f"Kept {path}" in shown for path in takes] == [True, True]
    assert all(soundfile.info(path).frames == pytest.approx(RATE_HZ, abs=RATE_HZ // 5) for path in takes)
    (support / "keen").mkdir()
    soundfile.write(support / "keen" / "1.wav", make_clip("keen", 1.5, 3), RATE_HZ)
    with start("enroll", support) as process:
        assert process.wait(timeout=60) == 0
    with start("classify", takes[0], "--json", env={}) as process:
        assert json.loads(process.communicate(timeout=60)[0])["label"] == "calm"


def test_takes_without_a_terminal_need_no_enter_and_five_refusals_end_it(
    start: Start, microphone: VirtualMicrophone, tmp_path: Path
) -> None:
    with start("record", "calm", "--seconds", "1", "--into", tmp_path, env=microphone.env) as process:
        output, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.count("Take 1 of 5: speak now.") == 5
    assert said == "metaser: 5 takes were refused in a row: check the microphone's level\n"
    assert not (tmp_path / "calm").exists()
