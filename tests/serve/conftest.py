"""Real servers in processes of their own, and clients of them."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from metaser.runtime import Engine, Profile, load_audio
from metaser.runtime.bundles.bundle import shipped_folder
from metaser.serve.settings import ServeSettings

DEMO = shipped_folder() / "demo"
PROGRAM = """
import base64, pickle, sys
from metaser.serve.run import serve
if __name__ == "__main__":
    serve(pickle.loads(base64.b64decode(sys.argv[1])), print)
"""
START_S = 30.0
Audio: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """An answer of HTTP."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    folder: Path
    trusted: ssl.SSLContext | None = None
    """What a client of TLS trusts."""

    @property
    def url(self) -> str:
        return f"{'wss' if self.trusted else 'ws'}://127.0.0.1:{self.port}/v1/stream"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request."""
        connection = (
            http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.trusted)
            if self.trusted
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        )
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def upload(self, method: str, path: str, files: list[tuple[str, str, bytes]]) -> Answer:
        """Send a form of files: (field, file name, content)."""
        line = "a-line-between-parts"
        parts = [
            f'--{line}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
            + content
            + b"\r\n"
            for field, name, content in files
        ]
        body = b"".join(parts) + f"--{line}--\r\n".encode()
        return self.ask(method, path, body, {"Content-Type": f"multipart/form-data; boundary={line}"})

    def metric(self, name: str) -> float:
        """The value of a counter without labels, or the sum over its labels."""
        lines = self.ask("GET", "/metrics").content.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0].split("{")[0] == name)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


StartServer: TypeAlias = Callable[..., Server]


def start(folder: Path, *, trusted: ssl.SSLContext | None = None, before: str = "", **settings: Any) -> Server:
    """Start a server on a free port, after the lines `before`, and wait until it is ready."""
    given = ServeSettings(folder, **{"port": 0, **settings})
    words = [sys.executable, "-u", "-c", before + PROGRAM, base64.b64encode(pickle.dumps(given)).decode()]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.partition("://")[2].partition(",")[0].rpartition(":")[2])
    server = Server(process, port, folder, trusted)
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            if server.ask("GET", "/readyz").status == 200:
                return server
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("the server is not ready")


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.open(provider="cpu", threads=1)


@pytest.fixture(scope="session")
def profile(engine: Engine) -> Profile:
    return engine.enroll(DEMO / "support")


@pytest.fixture(scope="session")
def conversation() -> Audio:
    return load_audio(DEMO / "conversation.flac")[: 20 * 16_000]


@pytest.fixture
def start_server(tmp_path: Path, profile: Profile) -> Iterator[StartServer]:
    """`start_server(limits=Limits(...))`: a server with the profile `me`; it is stopped after the test."""
    running: list[Server] = []

    def begin(**settings: Any) -> Server:
        folder = tmp_path / f"profiles {len(running)}"
        folder.mkdir()
        profile.save(folder / "me.safetensors")
        running.append(start(folder, **settings))
        return running[-1]

    yield begin
    for server in running:
        server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> Iterator[Server]:
    """A server that the tests of a file share, with the profile `me`."""
    folder = tmp_path_factory.mktemp("profiles")
    profile.save(folder / "me.safetensors")
    running = start(folder)
    yield running
    running.kill()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=metaser -addext subjectAltName=IP:127.0.0.1 "
        f"-keyout {key} -out {certificate}"
    )
    subprocess.run(made.split(), check=True, capture_output=True)
    return certificate, key


def pcm(audio: Audio) -> bytes:
    """Samples as s16le."""
    return (np.clip(audio, -1, 1) * 32_767).astype("<i2").tobytes()


@dataclass(frozen=True)
class Talk:
    """What a server said, and how it closed."""

    messages: list[dict[str, Any]]
    close_code: int | None

    def kinds(self) -> list[str]:
        return [message["event"] for message in self.messages]

    @property
    def error(self) -> dict[str, Any]:
        return next(message for message in self.messages if message["event"] == "error")

    @property
    def events(self) -> list[dict[str, Any]]:
        """The stream's own events, without their latencies."""
        kept = [each for each in self.messages if each["event"] not in ("ready", "error", "notice")]
        return [{name: value for name, value in each.items() if name != "latency_ms"} for each in kept]


async def listen(socket: ClientConnection) -> Talk:
    """Everything until the connection is closed."""
    messages = []
    with suppress(ConnectionClosed):
        while True:
            messages.append(json.loads(await socket.recv()))
    return Talk(messages, socket.close_code)


def talk(server: Server, *messages: str | bytes, end: str | bytes = '{"type": "end"}', **start: Any) -> Talk:
    """Open a stream with these options, send messages and the end, and listen."""

    async def run() -> Talk:
        async with connect(server.url, compression=None, max_size=None, ssl=server.trusted) as socket:
            await socket.send(json.dumps({"type": "start", **start}))
            listening = asyncio.create_task(listen(socket))
            with suppress(ConnectionClosed):
                for message in (*messages, end):
                    await socket.send(message)
            return await listening

    return asyncio.run(asyncio.wait_for(run(), 60))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
