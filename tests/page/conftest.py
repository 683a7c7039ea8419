"""The page in Debian's Chromium, whose microphone is a WAV file, against a server in a process of its own.

`make test-page` runs these tests; elsewhere they are skipped, because a browser is not part of the development extras.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.runtime import Engine, load_audio
from metaser.runtime.bundles.bundle import shipped_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DEMO = shipped_folder() / "demo"
SUPPORT = DEMO / "support"
RATE_HZ = 16_000
CHROMIUM = os.environ.get("METASER_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
QUIET = (
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
)
START_S = 30.0
Audio = npt.NDArray[np.float32]


@dataclass
class RunningServer:
    """A server on a fixed port, which can be stopped and started again."""

    profiles: Path
    port: int
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        words = ["serve", "--port", str(self.port), "--profiles", str(self.profiles), *self.options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "metaser.cli", *words], env={**os.environ, **self.environment}
        )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()
        raise AssertionError("the server is not ready")

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """`start_server("--streams", "1", profile=True)`: a server, without profiles or with the profile `me`."""
    running: list[RunningServer] = []

    def begin(*options: str, profile: bool = True, **environment: str) -> RunningServer:
        folder = tmp_path / f"profiles {len(running)}"
        folder.mkdir()
        if profile:
            Engine.open(provider="cpu", threads=1).enroll(SUPPORT).save(folder / "me.safetensors")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        running.append(RunningServer(folder, port, options, environment))
        running[-1].start()
        return running[-1]

    yield begin
    for server in running:
        server.stop()


@pytest.fixture
def server(start_server: Callable[..., RunningServer]) -> RunningServer:
    """A server with the profile `me`."""
    return start_server()


@contextmanager
def chromium(audio: Path | None = None, *options: str, has_microphone: bool = True) -> Iterator[Browser]:
    """A browser whose microphone plays a WAV file once, from when it is opened."""
    from playwright.sync_api import sync_playwright

    fake = ["--use-fake-device-for-media-stream"] if has_microphone else []
    if audio is not None:
        fake += ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={audio}%noloop"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *fake, *options])
        yield browser
        browser.close()


class Faults(list[str]):
    """What went wrong in a page: errors of scripts, refusals by its policy, requests to other hosts."""


def open_page(browser: Browser, url: str, faults: Faults | None = None, **context: Any) -> Page:
    """A page in a context of its own."""
    page = browser.new_context(**context).new_page()
    if faults is not None:
        watch(page, url.partition("#")[0], faults)
    page.goto(url)
    return page


def watch(page: Page, url: str, faults: Faults) -> None:
    """Collect the faults of a page."""
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "blob:", "data:")) else faults.append(request.url),
    )


def write_wav(path: Path, audio: Audio) -> Path:
    """A WAV file for the microphone."""
    soundfile.write(path, audio, RATE_HZ, "PCM_16")
    return path


def noise(seconds: float) -> Audio:
    """A quiet room."""
    rng = np.random.default_rng(0)
    return (1e-4 * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def speech_of(label: str) -> Audio:
    """The demonstration's support clips of a class, one after the other: 15 s."""
    return np.concatenate([load_audio(path) for path in sorted((SUPPORT / label).iterdir())])


@pytest.fixture
def conversation(tmp_path: Path) -> Path:
    """Two seconds of a quiet room, then the demonstration's conversation, as a WAV file."""
    return write_wav(tmp_path / "conversation.wav", np.concatenate([noise(2), load_audio(DEMO / "conversation.flac")]))
