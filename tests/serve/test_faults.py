"""Faults that other servers are known for: healthy clients closed, streams mixed up, connections leaked, no TLS."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from benchmarks.serving.clients import HANDSHAKE, TEXT, frame
from metaser.runtime import Engine, Profile
from metaser.serve.settings import Limits
from tests.serve.conftest import Audio, Server, StartServer, Talk, listen, make_certificate, pcm, talk
from tests.serve.test_streams import END, expected

EVERY_100_MS = "import metaser.serve.run as run\nrun.PING_S = 0.1\n"
PING = 0x89


def test_a_client_that_answers_no_ping_is_kept(start_server: StartServer) -> None:
    server = start_server(before=EVERY_100_MS)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(HANDSHAKE.encode())
        heard = b""
        until = time.monotonic() + 3
        while time.monotonic() < until:
            heard += client.recv(4096)
        assert heard.count(bytes([PING])) >= 10
        client.sendall(frame(TEXT, b'{"type": "start"}'))
        while b'"ready"' not in heard:
            part = client.recv(4096)
            assert part
            heard += part


def test_many_streams_at_once_each_get_their_own_events(
    start_server: StartServer, engine: Engine, profile: Profile, conversation: Audio
) -> None:
    server = start_server(limits=Limits(streams=6))
    parts = [pcm(conversation[second * 16_000 : (second + 8) * 16_000]) for second in range(6)]

    async def one(samples: bytes) -> Talk:
        async with connect(server.url, compression=None, max_size=None) as client:
            await client.send(json.dumps({"type": "start", "live": False}))
            for place in range(0, len(samples), 3200):
                await client.send(samples[place : place + 3200])
            await client.send(END)
            return await listen(client)

    async def every() -> list[Talk]:
        return await asyncio.gather(*(one(samples) for samples in parts))

    for samples, found in zip(parts, asyncio.run(asyncio.wait_for(every(), 60)), strict=True):
        assert found.events == expected(engine, profile, samples)


@pytest.mark.parametrize("sent", ["", HANDSHAKE[:60], HANDSHAKE.replace("13", "7"), HANDSHAKE.replace("GET", "\0")])
def test_handshakes_that_fail_leave_no_connection(server: Server, sent: str) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(sent.encode())
    until = time.monotonic() + 10
    while server.metric("metaser_connections") > 1 and time.monotonic() < until:
        time.sleep(0.05)
    assert server.metric("metaser_connections") == 1  # the question itself


def test_streams_and_requests_over_tls(start_server: StartServer, conversation: Audio, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=certificate)
    server = start_server(trusted=trusted, certificate=certificate, key=key)
    assert server.ask("GET", "/v1/bundle").status == 200
    assert "leave" in talk(server, pcm(conversation[: 5 * 16_000]), live=False).kinds()
    with pytest.raises(ssl.SSLCertVerificationError):
        Server(server.process, server.port, server.folder, ssl.create_default_context()).ask("GET", "/v1/bundle")
