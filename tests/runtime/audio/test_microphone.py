"""A real capture device: audio played into a PulseAudio null sink arrives through PortAudio."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from metaser.runtime import Engine, Profile
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from tests.virtual_microphone import VirtualMicrophone

# Reads until its standard input closes. It prints the device's format once audio arrives, when it is gone and back,
# and at the end how much was lost.
LISTEN = """
import json, select, sys
import numpy as np
from metaser.runtime.audio.microphone import Microphone

def notify(**values):
    print(json.dumps(values), flush=True)

with Microphone() as microphone:
    heard = [microphone.read()]
    while not len(heard[-1].samples):
        heard = [microphone.read()]
    notify(name=microphone.name, rate_hz=microphone.rate_hz)
    gone = False
    while not select.select([sys.stdin], [], [], 0)[0]:
        heard.append(microphone.read())
        if microphone.is_gone != gone:
            gone = microphone.is_gone
            notify(gone=gone, at_s=sum(len(chunk.samples) for chunk in heard) / microphone.rate_hz)
    np.save(sys.argv[1], np.concatenate([chunk.samples for chunk in heard]))
    notify(dropped_ms=microphone.dropped_ms)
"""
OVERFLOW = """
import time
import sounddevice
InputStream = sounddevice.InputStream

def lossy(*words, callback):
    count = 0

    def hear(block, frames, moment, status):
        nonlocal count
        count += 1
        if count == 20:
            time.sleep(0.4)
            status = sounddevice.CallbackFlags(2)
            assert status.input_overflow
        callback(block, frames, moment, status)

    return InputStream(*words, callback=hear)

sounddevice.InputStream = lossy
"""
REFUSE_16_KHZ = """
import sounddevice
takes = sounddevice.check_input_settings

def refuse(*words, samplerate, **others):
    if samplerate == 16_000:
        raise sounddevice.PortAudioError("Invalid sample rate")
    return takes(*words, samplerate=samplerate, **others)

sounddevice.check_input_settings = refuse
"""

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)


class Listener:
    """A process that listens until it is stopped."""

    def __init__(self, device: VirtualMicrophone, before: str) -> None:
        self._path = f"{device.env['XDG_RUNTIME_DIR']}/heard.npy"
        words = [sys.executable, "-c", before + LISTEN, self._path]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, env=device.env, stdin=pipe, stdout=pipe, text=True)

    def line(self) -> dict[str, Any]:
        """The next line of its output."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def stop(self) -> tuple[npt.NDArray[np.float32], float]:
        """All recorded audio, and the lost audio in milliseconds."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        dropped_ms = float(self.line()["dropped_ms"])
        return np.load(self._path), dropped_ms


@contextmanager
def listening(device: VirtualMicrophone, before: str = "") -> Iterator[tuple[Listener, dict[str, Any]]]:
    listener = Listener(device, before)
    with listener.process:
        yield listener, listener.line()


def test_what_is_played_is_labelled_as_it_is_offline(
    microphone: VirtualMicrophone, engine: Engine, profile: Profile, conversation: npt.NDArray[np.float32]
) -> None:
    excerpt = conversation[round(8.8 * SAMPLE_RATE_HZ) : round(18.6 * SAMPLE_RATE_HZ)]  # two utterances
    with listening(microphone) as (listener, said):
        assert said["rate_hz"] == SAMPLE_RATE_HZ
        assert microphone.play(excerpt).wait() == 0
        time.sleep(0.5)
        samples, dropped_ms = listener.stop()
    assert dropped_ms == 0
    segments = []
    for sound in (samples, excerpt):
        stream = engine.stream(profile)
        events = [event for event in (*stream.push(sound), *stream.finish()) if event.event == "leave"]
        first = events[0].start_s
        segments.append([(event.label, event.start_s - first, (event.end_s or 0) - first) for event in events])
    heard, expected = segments
    assert [label for label, *_ in heard] == [label for label, *_ in expected] == ["anger", "sadness"]
    np.testing.assert_allclose([times for _, *times in heard], [times for _, *times in expected], atol=0.1)


def test_a_device_that_is_unplugged_is_waited_for_and_times_stay_right(microphone: VirtualMicrophone) -> None:
    began = time.monotonic()
    with listening(microphone) as (listener, _):
        ready_s = time.monotonic() - began
        microphone.unplug()
        gone = listener.line()
        time.sleep(1.0)
        microphone.plug_in()
        back = listener.line()
        assert microphone.play(TONE).wait() == 0
        samples, dropped_ms = listener.stop()
        lasted_s = time.monotonic() - began - ready_s
    assert (gone["gone"], back["gone"]) == (True, False)
    gap_s = round(back["at_s"] - gone["at_s"], 6)  # whole samples, as what was dropped is: both may be the same
    assert gap_s <= round(dropped_ms / 1000, 6) <= gap_s + 2  # detecting the disconnect takes a moment
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(lasted_s, abs=0.5)
    assert np.abs(samples[: round(back["at_s"] * SAMPLE_RATE_HZ)]).max() < 0.01
    assert np.abs(samples).max() > 0.4


def test_a_listener_that_was_stopped_for_a_while_has_lost_nothing(microphone: VirtualMicrophone) -> None:
    with listening(microphone) as (listener, _):
        began = time.monotonic()
        os.kill(listener.process.pid, signal.SIGSTOP)
        time.sleep(4.0)
        os.kill(listener.process.pid, signal.SIGCONT)
        time.sleep(1.0)
        samples, dropped_ms = listener.stop()
        lasted_s = time.monotonic() - began
    assert dropped_ms == 0
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(lasted_s, abs=0.4)


def test_what_portaudio_says_it_lost_is_counted_and_heard_as_silence(microphone: VirtualMicrophone) -> None:
    with listening(microphone, OVERFLOW) as (listener, _):
        began = time.monotonic()
        assert microphone.play(np.tile(TONE, 2)).wait() == 0
        samples, dropped_ms = listener.stop()
        lasted_s = time.monotonic() - began
    assert dropped_ms == pytest.approx(400, abs=100)
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(lasted_s + dropped_ms / 1000, abs=0.4)  # nothing was lost


def test_a_device_that_refuses_16_khz_is_heard_at_its_own_rate(microphone: VirtualMicrophone) -> None:
    with listening(microphone, REFUSE_16_KHZ) as (listener, said):
        assert said == {"name": "default", "rate_hz": 44_100}
        assert microphone.play(TONE).wait() == 0
        samples, _ = listener.stop()
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() * 44_100 / len(samples) == pytest.approx(440, abs=2)


def test_a_device_is_found_by_number_and_by_name_and_an_absent_one_is_refused(microphone: VirtualMicrophone) -> None:
    code = """
from metaser.runtime.audio.microphone import find_device
device = find_device(None)
assert device.is_default
assert find_device(device.index) == find_device(str(device.index)) == find_device(device.name) == device
find_device("absent")
"""
    done = run(code, microphone.env)
    assert done.stderr.splitlines()[-1].endswith(
        "MissingDependencyError: no microphone is called 'absent': see `metaser stream --list-devices`"
    )


def test_a_reader_who_was_away_for_long_gets_what_was_lost_in_pieces(microphone: VirtualMicrophone) -> None:
    code = """
import time
from metaser.runtime.audio.microphone import Microphone
with Microphone(ring_s=0.5) as microphone:
    while not len(microphone.read().samples):
        pass
    time.sleep(1.6)
    chunks = [microphone.read(0.0) for _ in range(4)]
    lengths = [len(chunk.samples) for chunk in chunks]
    print(max(lengths), chunks[-1].dropped_ms, sum(lengths))
    time.sleep(0.8)
    microphone.skip()
    print(len(microphone.read(0.0).samples))
"""
    away, skipped = run(code, microphone.env).stdout.splitlines()
    longest, dropped_ms, heard = (float(word) for word in away.split())
    assert longest <= 16_000
    assert dropped_ms == pytest.approx(1100, abs=300)
    assert heard == pytest.approx(1.6 * 16_000, abs=0.3 * 16_000)
    assert int(skipped) < 1600


def test_without_portaudio_or_a_device_it_is_said_what_to_do() -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("ALSA_CONFIG_PATH", "XDG_RUNTIME_DIR")}
    done = run("from metaser.runtime.audio.microphone import find_device; find_device(None)", env)
    if done.returncode == 0:
        pytest.skip("there is a microphone that needs no configuration")
    last = done.stderr.splitlines()[-1]
    assert "there is no microphone on this machine" in last or "apt install libportaudio2" in last


def run(code: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
