"""Clients of the server on bare sockets: frames are made once, so that the clients cost as little as possible."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]
CHUNK_S = 0.1
RATE_HZ = 16_000
TEXT, BINARY, CLOSE = 0x81, 0x82, 0x88
HANDSHAKE = (
    "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass
class Heard:
    """What one client heard."""

    latencies_ms: list[float] = field(default_factory=list)
    dropped_ms: float = 0.0
    overloads: int = 0
    close_code: int | None = None


def frame(kind: int, content: bytes) -> bytes:
    """A frame of a client (RFC 6455), masked with zeros."""
    if len(content) < 126:
        return bytes([kind, 0x80 | len(content)]) + bytes(4) + content
    return bytes([kind, 0xFE]) + len(content).to_bytes(2, "big") + bytes(4) + content


def frames_of(audio: Audio) -> list[bytes]:
    """The messages of a recording, one per `CHUNK_S`."""
    samples = (np.clip(audio, -1, 1) * 32_767).astype("<i2")
    step = round(CHUNK_S * RATE_HZ)
    return [frame(BINARY, samples[place : place + step].tobytes()) for place in range(0, len(samples), step)]


async def open_stream(port: int, **start: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which `start` was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE.encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(TEXT, json.dumps({"type": "start", **start}).encode()))
    return reader, writer


async def listen(reader: asyncio.StreamReader, heard: Heard) -> Heard:
    """Read messages until the server closes."""
    while True:
        head, size = await reader.readexactly(2)
        length = size if size < 126 else int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        content = await reader.readexactly(length)
        if head == CLOSE:
            heard.close_code = int.from_bytes(content[:2], "big")
            return heard
        if head == TEXT:
            event = json.loads(content)
            if event["event"] in ("enter", "update"):
                heard.latencies_ms.append(event["latency_ms"])
            heard.overloads += event["event"] == "overload"
            heard.dropped_ms = max(heard.dropped_ms, event.get("dropped_ms", 0.0))


async def speak(port: int, frames: list[bytes], first: int, delay_s: float) -> Heard:
    """Send frames in real time from one of them on, after a delay, then end the stream."""
    await asyncio.sleep(delay_s)
    reader, writer = await open_stream(port)
    listening = asyncio.create_task(listen(reader, Heard()))
    began = time.perf_counter()
    for number in range(len(frames)):
        await asyncio.sleep(max(0.0, began + (number + 1) * CHUNK_S - time.perf_counter()))
        writer.write(frames[(first + number) % len(frames)])
    writer.write(frame(TEXT, b'{"type": "end"}'))
    heard = await listening
    writer.close()
    return heard


async def many(port: int, speech: list[bytes], speakers: int, silence: list[bytes], silent: int) -> list[Heard]:
    """So many streams at once, each from another place and at another offset within a hop."""
    talks = [
        speak(port, speech, number * len(speech) // speakers, 0.5 * number / speakers) for number in range(speakers)
    ]
    talks += [speak(port, silence, 0, 0.5 * number / silent) for number in range(silent)]
    return list(await asyncio.gather(*talks))


async def cycle(port: int, count: int) -> None:
    """Connect, start and end, so many times, one after the other."""
    for _ in range(count):
        reader, writer = await open_stream(port)
        writer.write(frame(TEXT, b'{"type": "end"}'))
        await listen(reader, Heard())
        writer.close()


async def hour(port: int, frames: list[bytes], streams: int, repeats: int) -> None:
    """Long streams at top speed."""

    async def one() -> None:
        reader, writer = await open_stream(port, live=False)
        listening = asyncio.create_task(listen(reader, Heard()))
        for _ in range(repeats):
            for each in frames:
                writer.write(each)
                await writer.drain()
        writer.write(frame(TEXT, b'{"type": "end"}'))
        await listening
        writer.close()

    await asyncio.gather(*(one() for _ in range(streams)))
