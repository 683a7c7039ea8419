"""Attacks by clients: what they hold ends, what they send is bounded, and others do not notice."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from benchmarks.serving.clients import BINARY, HANDSHAKE, TEXT, frame
from benchmarks.serving.load import memory_mb
from metaser.runtime import Engine
from metaser.runtime.audio.formats.pcm import RawFormat
from metaser.runtime.enrolment.embed import EmbeddedClips
from metaser.serve.answers import RefusedError
from metaser.serve.http.uploads import PREFIX, _free, sweep_uploads, written_bytes
from metaser.serve.profiles import Profiles
from metaser.serve.settings import Limits
from metaser.serve.streams.inbox import BATCH_BYTES, MOST_BYTES, Inbox
from tests.serve.conftest import DEMO, Audio, Server, StartServer, Talk, listen, make_certificate, pcm, talk

IMPATIENT = """import metaser.serve.protocol as protocol
protocol.REQUEST_S = protocol.STALLED_S = protocol.CLOSE_S = 1.0
"""
PING = 0x89
MIB = bytes(2**20)


def opened(server: Server, text: str = HANDSHAKE) -> socket.socket:
    """A connection on which this was sent."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    client.sendall(text.encode())
    if text == HANDSHAKE:
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += client.recv(1)
    return client


def long_frame(content: bytes) -> bytes:
    """A binary frame of more than 64 KiB."""
    return bytes([BINARY, 0xFF]) + len(content).to_bytes(8, "big") + bytes(4) + content


def is_at_rest(server: Server, within_s: float = 10.0) -> bool:
    """Whether no connection is left but the one that asks."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if server.metric("metaser_connections") == 1 and server.metric("metaser_streams") == 0:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("live", [False, True])
def test_the_heaviest_format_fills_no_memory(start_server: StartServer, live: bool) -> None:
    """393 MB per second of audio, sent as fast as it goes."""
    server = start_server()
    before = memory_mb(server.process.pid)
    start = {"type": "start", "live": live, "rate": 768_000, "channels": 64, "format": "f64le"}
    with opened(server) as client:
        client.sendall(frame(TEXT, json.dumps(start).encode()))
        until = time.monotonic() + 5
        client.settimeout(5)
        with suppress(OSError):
            for _ in range(300):
                client.sendall(long_frame(MIB))
                if time.monotonic() > until:
                    break
        assert memory_mb(server.process.pid) - before < 250
    assert is_at_rest(server)


@given(st.sampled_from(["mulaw", "s16le", "f64le"]), st.integers(1, 64), st.sampled_from([1000, 48_000, 768_000]))
def test_an_inbox_is_bounded_in_bytes_and_gives_them_in_batches(sample_format: str, channels: int, rate: int) -> None:
    form = RawFormat(rate, channels, sample_format)
    live, waiting = Inbox(form, 10.0), Inbox(form)
    for _ in range(20):
        live.put(MIB)
        if not waiting.is_full:
            waiting.put(MIB)
    in_live, in_waiting = (round(inbox.seconds * rate * form.frame_bytes) for inbox in (live, waiting))
    assert in_live <= MOST_BYTES <= in_waiting <= MOST_BYTES + len(MIB)
    for inbox in (live, waiting):
        assert 0 < len(inbox.take().content) <= BATCH_BYTES
    assert waiting.take().seconds <= 1.0


@pytest.mark.parametrize(
    "extra", ["Content-Length: 5", "Transfer-Encoding: chunked", f"Cookie: {'x' * 9000}", "\r\n".join(["X: y"] * 150)]
)
def test_a_handshake_that_only_one_library_reads_is_refused(server: Server, extra: str) -> None:
    with opened(server, HANDSHAKE.replace("\r\n\r\n", f"\r\n{extra}\r\n\r\n")) as client:
        assert client.recv(4096).startswith(b"HTTP/1.1 4")
        while client.recv(4096):
            pass
    assert is_at_rest(server)


def test_the_server_stops_in_time_and_well_whatever_clients_hold(start_server: StartServer) -> None:
    server = start_server()
    page = "GET /v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    held = [opened(server, "GET /"), opened(server), opened(server, page * 300), opened(server, "")]
    time.sleep(0.5)
    began = time.monotonic()
    assert server.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 25
    for client in held:
        client.close()


def test_pings_whose_answers_nobody_reads_end_the_connection(start_server: StartServer) -> None:
    server = start_server(before=IMPATIENT)
    before = memory_mb(server.process.pid)
    pings = frame(PING, bytes(125)) * 8000
    with opened(server) as client:
        sent = 0
        with suppress(OSError):
            while sent < 200:
                client.sendall(pings)
                sent += 1
        assert sent < 200
        assert memory_mb(server.process.pid) - before < 40
        assert is_at_rest(server)  # though the client keeps its socket


def test_a_stream_outlives_the_limits_of_requests(start_server: StartServer, conversation: Audio) -> None:
    server = start_server(before=IMPATIENT)
    seconds = [pcm(conversation[place : place + 16_000]) for place in range(0, 5 * 16_000, 16_000)]

    async def run() -> Talk:
        async with connect(server.url, compression=None) as client:
            await client.send('{"type": "start"}')
            for second in seconds:
                await asyncio.sleep(0.8)
                await client.send(second)
            await client.send('{"type": "end"}')
            return await listen(client)

    found = asyncio.run(asyncio.wait_for(run(), 60))
    assert "leave" in found.kinds()
    assert found.close_code == 1000


def test_answers_that_nobody_reads_end_the_connection(start_server: StartServer) -> None:
    server = start_server(before=IMPATIENT)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(5)
    client.connect(("127.0.0.1", server.port))
    with client:
        with suppress(OSError):
            client.sendall(b"GET /v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 900)
        assert is_at_rest(server)


def test_requests_over_tls_leave_no_traceback(
    start_server: StartServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    certificate, key = make_certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=certificate)
    server = start_server(before=IMPATIENT, trusted=trusted, certificate=certificate, key=key)
    for _ in range(3):
        assert server.ask("GET", "/readyz").status == 200
    time.sleep(2.5)
    assert "Traceback" not in capfd.readouterr().err


def test_a_client_that_leaves_during_an_upload_leaves_no_traceback(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    head = "POST /v1/quality HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nhalf"
    opened(server, head).close()
    assert is_at_rest(server)
    assert "Traceback" not in capfd.readouterr().err


def test_a_stream_opens_while_clips_are_uploaded(server: Server) -> None:
    """240 clips take seconds to embed."""
    clip = sorted((DEMO / "support" / "joy").iterdir())[0].read_bytes()
    files = [(label, f"{number}.flac", clip) for label in ("joy", "anger") for number in range(120)]
    upload = threading.Thread(target=lambda: server.upload("PUT", "/v1/profiles/many", files))
    upload.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert talk(server).kinds()[0] == "ready"
    assert server.ask("GET", "/metrics").status == 200
    assert time.monotonic() - began < 5
    upload.join()


def test_many_files_of_one_name_are_named_at_once(tmp_path: Path) -> None:
    numbers: Counter[str] = Counter()
    began = time.monotonic()
    for _ in range(2000):
        _free(tmp_path, "a.flac", numbers).touch()
    assert time.monotonic() - began < 2
    assert len(list(tmp_path.iterdir())) == 2000


@pytest.mark.parametrize(
    "start",
    [
        f'{{"type": "start", "rate": {"9" * 4000}}}',
        f'{{"type": "start", "window_s": {"9" * 4000}}}',
        '{"type": "start", "dwell_s": 1e308}',
        '{"type": "start", "dwell_s": NaN}',
        '{"type": "start", "\\ud800": 1}',
    ],
)
def test_a_start_that_no_number_or_text_holds_is_refused(server: Server, start: str) -> None:
    with opened(server) as client:
        client.sendall(frame(TEXT, start.encode()))
        heard = b""
        while b'"error"' not in heard:
            part = client.recv(4096)
            assert part
            heard += part
    assert b'"code": "start"' in heard


def test_a_rate_that_no_float_holds_is_refused(server: Server) -> None:
    body = f'{{"false_accepts": {"9" * 4000}}}'.encode()
    answer = server.ask("PUT", "/v1/profiles/me/calibration", body)
    assert (answer.status, answer.json["error"]["code"]) == (422, "bad_input")


def test_samples_of_an_hour_are_refused_before_they_are_decoded(server: Server) -> None:
    began = time.monotonic()
    answer = server.ask(
        "POST", "/v1/quality?rate=1000&format=u8", bytes(2**21), {"Content-Type": "application/octet-stream"}
    )
    assert answer.status == 422
    assert "2097 s: send at most 600 s" in answer.json["error"]["message"]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("charset", ["undefined", "punycode", "nonsense"])
def test_a_form_in_a_charset_that_does_not_exist_is_refused(server: Server, charset: str) -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="\xff"; filename="a.wav"\r\n\r\nx\r\n--B--\r\n'
    kind = f"multipart/form-data; boundary=B; charset={charset}"
    answer = server.ask("PUT", "/v1/profiles/new", body, {"Content-Type": kind})
    assert answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


def test_answers_hold_no_path_of_the_server(server: Server) -> None:
    one_class = [("joy", path.name, path.read_bytes()) for path in (DEMO / "support" / "joy").iterdir()]
    refused = server.upload("PUT", "/v1/profiles/one", one_class)
    assert refused.status == 422
    (server.folder / "bad.safetensors").write_bytes(b"no profile")
    answers = [refused, server.ask("GET", "/v1/profiles/bad"), server.ask("GET", "/v1/profiles")]
    (server.folder / "bad.safetensors").unlink()
    for answer in answers:
        assert tempfile.gettempdir().encode() not in answer.content


def test_the_second_of_two_new_profiles_of_a_name_is_a_conflict(tmp_path: Path, engine: Engine) -> None:
    profiles = Profiles(tmp_path, engine)
    clips: EmbeddedClips = engine.embed_support(DEMO / "support")
    profiles.enroll("me", clips, replaces=False)
    with pytest.raises(RefusedError) as refused:
        profiles.enroll("me", clips, replaces=False)
    assert (refused.value.status, refused.value.code) == (HTTPStatus.CONFLICT, "exists")


def test_uploads_of_a_killed_process_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One folder was left, one is in use by this process, and one is so young that it may not be locked yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, young = (tmp_path / f"{PREFIX}{name}" for name in ("left", "young"))
    for folder in (left, young):
        folder.mkdir()
        (folder / "clip").write_bytes(b"speech")
    with written_bytes(b"speech") as clip:
        for folder in (left, clip.parents[1]):
            os.utime(folder, (0, 0))
        sweep_uploads()
        assert [folder.exists() for folder in (left, young)] == [False, True]
        assert clip.read_bytes() == b"speech"
    assert not clip.parents[1].exists()


def test_a_kept_connection_is_kept_while_it_is_used(start_server: StartServer) -> None:
    server = start_server(before=IMPATIENT)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(12):
        connection.request("GET", "/readyz")
        assert connection.getresponse().read() == b"ready\n"
        time.sleep(0.25)
    connection.close()


def test_stopping_during_an_upload_leaves_no_traceback(
    start_server: StartServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server = start_server(limits=Limits(drain_s=1))
    head = "POST /v1/quality HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nhalf"
    with opened(server, head):
        time.sleep(0.3)
        server.stop()
    assert "Traceback" not in capfd.readouterr().err


def test_two_heavy_streams_leave_time_for_others(start_server: StartServer, conversation: Audio) -> None:
    """They send audio of 64 channels as fast as it goes; a recording of 5 s at the same time takes a few seconds."""
    server = start_server()
    stop = threading.Event()
    start = json.dumps({"type": "start", "live": False, "rate": 48_000, "channels": 64}).encode()

    def flood() -> None:
        with opened(server) as client, suppress(OSError):
            client.settimeout(1)
            client.sendall(frame(TEXT, start))
            while not stop.is_set():
                with suppress(TimeoutError):
                    client.sendall(long_frame(MIB))

    floods = [threading.Thread(target=flood) for _ in range(2)]
    for each in floods:
        each.start()
    time.sleep(1)
    began = time.monotonic()
    kinds = talk(server, pcm(conversation[: 5 * 16_000]), live=False).kinds()
    took_s = time.monotonic() - began
    stop.set()
    for each in floods:
        each.join()
    assert "leave" in kinds
    assert took_s < 15
