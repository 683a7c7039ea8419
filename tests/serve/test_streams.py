"""Streams over WebSocket: the library's events, what ends them, and every way to fail."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from metaser.runtime import Engine, Profile
from metaser.serve.settings import Limits
from tests.serve.conftest import Audio, Server, StartServer, Talk, listen, pcm, talk

END = '{"type": "end"}'


def expected(engine: Engine, profile: Profile, samples: bytes) -> list[dict[str, Any]]:
    """The events of the library alone, without their latencies."""
    stream = engine.stream(profile)
    events = stream.push(np.frombuffer(samples, "<i2").astype(np.float32) / 32_768) + stream.finish()
    return [{name: value for name, value in event.as_dict().items() if name != "latency_ms"} for event in events]


@pytest.mark.parametrize("size", [3, 999, 3200, 2**19])
def test_the_events_are_those_of_the_library_for_any_cutting(
    server: Server, engine: Engine, profile: Profile, conversation: Audio, size: int
) -> None:
    samples = pcm(conversation[: (2 if size == 3 else 20) * 16_000])
    parts = [samples[place : place + size] for place in range(0, len(samples), size)]
    found = talk(server, *parts, live=False)
    assert found.kinds()[0] == "ready"
    assert found.events == expected(engine, profile, samples)
    assert found.close_code == 1000


def test_ready_says_what_the_server_took(server: Server) -> None:
    ready = talk(server, rate=8000, channels=2, format="f32le", hop_s=1, unknown="off").messages[0]
    assert ready["labels"] == ["anger", "joy", "neutral", "sadness"]
    wanted = {"rate": 8000, "channels": 2, "format": "f32le", "hop_s": 1, "live": True, "bundle": "default"}
    assert wanted.items() <= ready.items()


@pytest.mark.parametrize("end", [END, b"", '{"type": "CloseStream"}', '{"eof" : 1}', "Done"])
def test_every_known_way_to_end_gives_the_last_segment(server: Server, conversation: Audio, end: str | bytes) -> None:
    found = talk(server, pcm(conversation[: 4 * 16_000]), end=end, live=False)
    assert found.kinds()[-2:] == ["leave", "silence"]
    assert found.close_code == 1000


def test_keeping_alive_changes_nothing_and_notices_come_at_the_end(server: Server) -> None:
    found = talk(server, '{"type": "KeepAlive"}', pcm(np.zeros(32_000, np.float32)), live=False)
    assert found.kinds() == ["ready", "notice"]
    assert found.messages[1]["message"].startswith("silent")


def test_two_channels_at_another_rate_are_one_stream(server: Server, conversation: Audio) -> None:
    stereo = np.repeat(np.repeat(conversation, 3)[:, None], 2, axis=1)
    samples = pcm(stereo)[: 48_000 * 4 * 8]
    found = talk(server, samples[: 2**19], samples[2**19 :], rate=48_000, channels=2, live=False)
    assert "leave" in found.kinds()


@pytest.mark.parametrize(
    ("start", "code", "words"),
    [
        ({"profile": "nobody"}, "not_found", "there is no profile nobody"),
        ({"profile": "../me"}, "bad_input", "a profile cannot have this name"),
        ({"rate": 0}, "start", "a sample rate of 0 Hz"),
        ({"rate": "fast"}, "start", "rate of start is 'fast'"),
        ({"channels": 0}, "start", "0 channels"),
        ({"format": "opus"}, "start", "unknown sample format 'opus'"),
        ({"window_s": 0}, "start", "a window of 0 s"),
        ({"unknown": "perhaps"}, "start", "choose off, calibrated or strict"),
        ({"speed": 2}, "start", "start has no field speed"),
        ({"live": 1}, "start", "live of start is 1"),
    ],
)
def test_a_start_that_cannot_be_used_is_one_error(server: Server, start: dict[str, Any], code: str, words: str) -> None:
    found = talk(server, **start)
    assert found.kinds() == ["error"]
    assert found.error["code"] == code
    assert words in found.error["message"]
    assert found.close_code == 1008


def open_and_send(server: Server, *messages: str | bytes) -> Talk:
    """Send raw messages, without a start, and listen."""

    async def run() -> Talk:
        async with connect(server.url, compression=None) as socket:
            for message in messages:
                await socket.send(message)
            return await listen(socket)

    return asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize("first", ["hello", b"\0\1", "[1]", '{"type": "begin"}', '{"type": "start"', "[" * 5000])
def test_what_is_no_start_is_refused(server: Server, first: str | bytes) -> None:
    found = open_and_send(server, first)
    assert (found.kinds(), found.error["code"], found.close_code) == (["error"], "start", 1008)


def test_text_where_samples_belong_ends_the_stream_after_its_segment(server: Server, conversation: Audio) -> None:
    found = talk(server, pcm(conversation[: 4 * 16_000]), end="some text", live=False)
    assert found.kinds()[-3:] == ["leave", "silence", "error"]
    assert (found.error["code"], found.close_code) == ("text", 1003)


@pytest.mark.parametrize(
    ("samples", "start", "words"),
    [
        (np.full(16_000, np.nan, "<f4"), {"format": "f32le"}, "NaN or infinite"),
        (np.full(16_000, 1e9, "<f4"), {"format": "f32le"}, "but the range is"),
    ],
)
def test_samples_that_are_none_are_an_error(server: Server, samples: Any, start: dict[str, Any], words: str) -> None:
    found = talk(server, samples.tobytes(), live=False, **start)
    assert (found.error["code"], found.close_code) == ("audio", 1003)
    assert words in found.error["message"]


def test_samples_in_another_format_are_named(server: Server, conversation: Audio) -> None:
    found = talk(server, conversation[: 8 * 16_000].astype("<f4").tobytes(), live=False)
    assert 'start with "format": "f32le"' in found.error["message"]


def test_a_message_of_a_gigabyte_is_refused_at_its_head(server: Server) -> None:
    async def run() -> int | None:
        async with connect(server.url, compression=None) as socket:
            await socket.send('{"type": "start"}')
            await socket.recv()
            socket.transport.write(bytes([0x82, 0xFF]) + (2**30).to_bytes(8, "big") + bytes(4) + bytes(1000))
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            return socket.close_code

    assert asyncio.run(asyncio.wait_for(run(), 30)) == 1009


def test_clients_that_stay_silent_are_closed(start_server: StartServer) -> None:
    server = start_server(limits=Limits(start_s=0.3, idle_s=0.5))
    began = time.monotonic()
    assert open_and_send(server).error["message"] == "no start within 0.3 s"
    silent = open_and_send(server, '{"type": "start"}')
    assert (silent.kinds(), silent.error["code"], silent.close_code) == (["ready", "error"], "idle", 1008)
    assert time.monotonic() - began < 5
    assert server.metric("metaser_streams") == 0


def test_a_client_that_vanishes_leaves_no_stream(server: Server, conversation: Audio) -> None:
    async def run() -> None:
        async with connect(server.url, compression=None) as socket:
            await socket.send('{"type": "start"}')
            await socket.recv()
            await socket.send(pcm(conversation))
            socket.transport.abort()

    asyncio.run(run())
    until = time.monotonic() + 10
    while server.metric("metaser_streams") and time.monotonic() < until:
        time.sleep(0.05)
    assert server.metric("metaser_streams") == 0
    assert server.metric("metaser_connections") == 1  # the question itself


def test_streams_beyond_the_capacity_are_refused_and_the_others_go_on(
    start_server: StartServer, conversation: Audio
) -> None:
    server = start_server(limits=Limits(streams=1, connections=4))

    async def run() -> tuple[Talk, Talk, int, int]:
        async with connect(server.url, compression=None) as first:
            await first.send('{"type": "start", "live": false}')
            await first.recv()
            async with connect(server.url, compression=None) as second:
                await second.send('{"type": "start"}')
                refused = await listen(second)
            asked = await asyncio.to_thread(server.ask, "GET", "/v1/stream")
            others = [await connect(server.url, compression=None) for _ in range(3)]
            with pytest.raises(InvalidStatus) as full:
                await connect(server.url, compression=None)
            for other in others:
                await other.close()
            assert full.value.response.headers["Retry-After"] == "5"
            await first.send(pcm(conversation[: 4 * 16_000]))
            await first.send(END)
            return refused, await listen(first), asked.status, full.value.response.status_code

    refused, kept, asked, full = asyncio.run(asyncio.wait_for(run(), 60))
    assert (refused.error["code"], refused.close_code) == ("capacity", 1013)
    assert (asked, full) == (503, 503)
    assert "leave" in kept.kinds()
    assert server.metric("metaser_refused_total") == 3


def test_a_stopping_server_gives_each_stream_its_last_segment(start_server: StartServer, conversation: Audio) -> None:
    server = start_server()

    async def run() -> list[Talk]:
        sockets = [await connect(server.url, compression=None) for _ in range(3)]
        for socket in sockets:
            await socket.send('{"type": "start", "live": false}')
            await socket.send(pcm(conversation[: 5 * 16_000]))
        heard = [asyncio.create_task(listen(socket)) for socket in sockets]
        await asyncio.sleep(2)
        server.process.send_signal(signal.SIGTERM)
        return list(await asyncio.gather(*heard))

    for found in asyncio.run(asyncio.wait_for(run(), 60)):
        assert found.kinds()[-2:] == ["leave", "silence"]
        assert found.close_code == 1001
    assert server.process.wait(15) is not None


def test_audio_that_is_not_live_waits_and_loses_nothing(
    server: Server, engine: Engine, profile: Profile, conversation: Audio
) -> None:
    samples = pcm(np.tile(conversation, 6))  # two minutes at once
    parts = [samples[place : place + 2**19] for place in range(0, len(samples), 2**19)]
    found = talk(server, *parts, live=False)
    assert "overload" not in found.kinds()
    assert found.events[-1]["end_s"] is None
    assert found.events == expected(engine, profile, samples)


def test_live_audio_beyond_ten_seconds_is_lost_and_said(server: Server, conversation: Audio) -> None:
    before = server.metric("metaser_lost_seconds_total")
    samples = pcm(np.tile(conversation, 3))
    found = talk(server, *[samples[place : place + 2**19] for place in range(0, len(samples), 2**19)])
    lost_ms = max(event["dropped_ms"] for event in found.events)
    assert "overload" in found.kinds()
    assert lost_ms > 1000
    assert server.metric("metaser_lost_seconds_total") - before == pytest.approx(lost_ms / 1000, abs=0.01)


def test_a_client_that_never_reads_does_not_stop_others(start_server: StartServer, conversation: Audio) -> None:
    server = start_server()

    async def run() -> Talk:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=64)
        writer.write(
            b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        text = b'{"type": "start", "hop_s": 0.05}'
        writer.write(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
        samples = pcm(np.tile(conversation, 3))[: 2**19]
        with suppress(ConnectionError):  # the server may have given it up
            for _ in range(4):
                writer.write(bytes([0x82, 0xFF]) + len(samples).to_bytes(8, "big") + bytes(4) + samples)
                await writer.drain()
        found = await asyncio.to_thread(talk, server, pcm(conversation[: 4 * 16_000]), live=False)
        writer.close()
        return found

    assert "leave" in asyncio.run(asyncio.wait_for(run(), 60)).kinds()


def transcript() -> list[str]:
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
    found = re.search(r"```text\n(> .*?)\n```", page, re.DOTALL)
    assert found
    return found[1].splitlines()


def test_the_transcript_of_the_documentation_is_what_happens(server: Server, conversation: Audio) -> None:
    """Confidences differ a little between processors, and latencies always."""
    lines = transcript()
    sent = [line[2:] for line in lines if line.startswith("> ")]
    said = [json.loads(line[2:]) for line in lines if line.startswith("< ")]
    samples = pcm(conversation[: round(float(sent[1].split()[0]) * 16_000)])
    start = {name: value for name, value in json.loads(sent[0]).items() if name != "type"}
    found = talk(server, samples, end=sent[2], **start).messages
    assert [set(message) for message in found] == [set(message) for message in said]
    near = ("confidence", "scores", "latency_ms")
    for one, other in zip(found, said, strict=True):
        assert {k: v for k, v in one.items() if k not in near} == {k: v for k, v in other.items() if k not in near}
        assert one.get("confidence", 0) == pytest.approx(other.get("confidence", 0), abs=0.05)


def test_the_example_of_a_client_prints_the_segments(server: Server, conversation: Audio, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "recording.wav", conversation[: 5 * 16_000], 16_000)
    script = Path(__file__).parents[2] / "examples" / "stream_to_server.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path / "recording.wav", server.url, "me"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r" +0\.48 +4\.29  neutral  \d\d%\n", done.stdout)
    assert done.stderr == ""
