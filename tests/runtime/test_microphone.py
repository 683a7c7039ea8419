"""A real capture device: what is played into a PulseAudio null sink is heard through PortAudio."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metaser.runtime import MissingDependencyError
from metaser.runtime.bundle import shipped_folder
from metaser.runtime.microphone import find_device

CONVERSATION = shipped_folder() / "demo" / "conversation.flac"
DEVICE = pytest.mark.skipif(
    "METASER_VIRTUAL_MICROPHONE" not in os.environ,
    reason="needs a virtual microphone: METASER_VIRTUAL_MICROPHONE=1 once PulseAudio has a null sink as default",
)
LISTEN = """
import sys, time
from metaser.runtime import Engine
from metaser.runtime.microphone import Microphone
engine = Engine.open(provider="cpu", threads=1)
profile = engine.enroll(sys.argv[1])
with Microphone() as microphone:
    stream = engine.stream(profile, sample_rate_hz=microphone.rate_hz, live=True)
    print("ready", flush=True)
    events, until = [], time.monotonic() + 8
    while time.monotonic() < until:
        chunk = microphone.read()
        events += stream.push(chunk.samples, heard_at=chunk.heard_at, dropped_ms=chunk.dropped_ms)
events += stream.finish()
print([event.label for event in events if event.event == "leave"][0], events[-1].dropped_ms)
"""


@DEVICE
def test_what_is_played_is_labelled_as_it_is_offline(support_folder: Path) -> None:
    words = [sys.executable, "-c", LISTEN, str(support_folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        player = subprocess.Popen([str(shutil.which("paplay")), CONVERSATION])
        assert listener.stdout.read().split() == ["neutral", "0.0"]
        player.terminate()
        player.wait()


@DEVICE
def test_a_device_is_found_by_number_and_by_name_and_an_absent_one_is_refused() -> None:
    device = find_device(None)
    assert find_device(device.index) == find_device(device.name) == device
    with pytest.raises(MissingDependencyError, match="no microphone is called 'absent'"):
        find_device("absent")


def test_without_portaudio_or_a_device_it_is_said_what_to_do() -> None:
    code = "from metaser.runtime.microphone import find_device; find_device(None)"
    env = {name: value for name, value in os.environ.items() if name not in ("ALSA_CONFIG_PATH", "XDG_RUNTIME_DIR")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        pytest.skip("there is a microphone that needs no configuration")
    last = done.stderr.splitlines()[-1]
    assert "there is no microphone on this machine" in last or "apt install libportaudio2" in last
