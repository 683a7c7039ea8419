"""Several processes on one port, one that is killed, the command line, and systemd's notifications."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from metaser.serve.settings import Limits
from tests.serve.conftest import Audio, Server, StartServer, Talk, free_port, listen, pcm, talk

END = '{"type": "end"}'


def children(server: Server) -> set[int]:
    """The worker processes."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == server.process.pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


def test_a_killed_worker_is_replaced_within_two_seconds_and_the_others_go_on(
    start_server: StartServer, conversation: Audio
) -> None:
    server = start_server(workers=2, limits=Limits(streams=8))
    until = time.monotonic() + 20
    while server.metric("metaser_stream_capacity") < 16 and time.monotonic() < until:
        time.sleep(0.1)
    assert server.metric("metaser_stream_capacity") == 16  # of both

    async def run() -> tuple[list[Talk], float]:
        sockets = [await connect(server.url, compression=None) for _ in range(8)]
        for each in sockets:
            await each.send('{"type": "start", "live": false}')
            await each.recv()
        victim = min(children(server), key=lambda pid: len(list(Path(f"/proc/{pid}/fd").iterdir())))  # of fewer streams
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        while len(children(server) - {victim}) < 2 or server.metric("metaser_stream_capacity") < 16:
            await asyncio.sleep(0.05)
            assert time.monotonic() - killed < 20
        replaced_s = time.monotonic() - killed
        for each in sockets:
            with suppress(ConnectionClosed):  # one of the killed worker
                await each.send(pcm(conversation[: 4 * 16_000]))
                await each.send(END)
        return [await listen(each) for each in sockets], replaced_s

    talks, replaced_s = asyncio.run(asyncio.wait_for(run(), 90))
    whole = [found for found in talks if "leave" in found.kinds()]
    assert len(whole) >= 4  # the kernel shares connections out as it likes
    assert all(found.close_code == 1000 for found in whole)
    assert replaced_s < (2 if os.cpu_count() and "PYTEST_XDIST_WORKER" not in os.environ else 20)
    assert "leave" in talk(server, pcm(conversation[: 4 * 16_000]), live=False).kinds()
    assert server.stop() == 0
    assert children(server) == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_and_its_readiness_at_once(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server(limits=Limits(drain_s=2))

    async def run() -> Talk:
        async with connect(server.url, compression=None) as held:
            await held.send('{"type": "start"}')
            await held.recv()
            server.process.send_signal(number)
            return await listen(held)

    found = asyncio.run(asyncio.wait_for(run(), 30))
    assert found.close_code == 1001
    server.process.wait(10)
    with pytest.raises(ConnectionRefusedError):
        server.ask("GET", "/readyz")


def command(tmp_path: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    own = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_STATE_HOME": str(tmp_path / "state"), **variables}
    return subprocess.run(
        [sys.executable, "-m", "metaser.cli", "serve", *words],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **own},
    )  # fmt: skip


def test_a_port_in_use_is_one_line(server: Server, tmp_path: Path) -> None:
    done = command(tmp_path, "--port", str(server.port))
    assert done.returncode == 1
    assert done.stderr == f"metaser: port {server.port} is in use: stop the other program, or give another --port\n"


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (("--host", "0.0.0.0"), {}, "give clients a token"),  # noqa: S104 # it is refused
        (("--host", "0.0.0.0"), {"METASER_TOKEN": "x" * 20}, "give --certificate and --key, or --insecure"),  # noqa: S104
        ((), {"METASER_TOKEN": "short"}, "is not 16 or more letters"),
        (("--token-file", "absent"), {}, "no such file: absent"),
        (("--certificate", "absent.pem", "--key", "absent.pem"), {}, "no such file: absent.pem"),
        (("--host", "203.0.113.1", "--insecure"), {"METASER_TOKEN": "x" * 20}, "cannot listen on 203.0.113.1"),
        (("--streams", "0"), {}, "--streams 0"),
        (("--bundle", "absent"), {}, "absent"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], message: str
) -> None:
    done = command(tmp_path, "--port", str(free_port()), *words, **variables)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_the_missing_extra_is_named(tmp_path: Path) -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from metaser.cli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve"], capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 3
    assert "pip install 'metaser[serve]'" in done.stderr


def test_systemd_is_told_of_readiness_life_and_end(start_server: StartServer, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        channel.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        server = start_server()
        said = [channel.recv(100) for _ in range(3)]
        assert said == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        server.process.send_signal(signal.SIGTERM)
        while said[-1] != b"STOPPING=1":
            said.append(channel.recv(100))
        server.process.wait(10)
