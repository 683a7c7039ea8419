"""A real capture device on a machine without sound hardware: a PulseAudio server with a null sink to record from.

ALSA's default device is the sink's monitor, so PortAudio hears what is played into the sink. The server is the test's
own: it can lose its sink as a person unplugs a microphone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

PROGRAMS = ("pulseaudio", "pactl", "paplay")
SINK = "virtual_microphone"
START_S = 10.0
ALSA = """
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def is_possible() -> bool:
    """Whether this machine has the programs that the device needs."""
    return all(shutil.which(program) for program in PROGRAMS)


class VirtualMicrophone:
    """The server, as a context manager; `env` is for the processes that record from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "pulse.socket"
        self._module = ""
        self.env = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_SERVER": f"unix:{self._socket}",
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        }

    def __enter__(self) -> VirtualMicrophone:
        (self._folder / "asound.conf").write_text(ALSA, encoding="utf-8")
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--disable-shm=yes",
            "--use-pid-file=no",
        ]
        command.append(f"--load=module-native-protocol-unix auth-anonymous=1 socket={self._socket}")
        self._server = subprocess.Popen(command, env=self.env, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_S
        while not self._socket.exists() and time.monotonic() < until:
            time.sleep(0.05)
        self.plug_in()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.wait()

    def plug_in(self) -> None:
        """Connect the device."""
        self._module = self._control("load-module", "module-null-sink", f"sink_name={SINK}", "norewinds=1")

    def unplug(self) -> None:
        """Disconnect the device, and all streams that record from it."""
        self._control("unload-module", self._module)

    def play(self, samples: npt.NDArray[np.float32], rate_hz: int = 16_000) -> subprocess.Popen[Any]:
        """Play a sound into the device."""
        path = self._folder / "played.wav"
        soundfile.write(path, samples, rate_hz)
        return subprocess.Popen([_program("paplay"), path], env=self.env)

    def _control(self, *words: str) -> str:
        done = subprocess.run([_program("pactl"), *words], env=self.env, capture_output=True, text=True, check=True)
        return done.stdout.strip()


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path is not None
    return path
