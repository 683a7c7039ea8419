"""Send a recording to `metaser serve` in real time, and print the labels as they come.

    metaser serve                                         # in another terminal
    python examples/stream_to_server.py recording.wav [ws://127.0.0.1:8765/v1/stream] [PROFILE]

Needs `pip install websockets soundfile`; the server may be on another machine.
"""

import asyncio
import json
import os
import sys

import soundfile
from websockets.asyncio.client import ClientConnection, connect

CHUNK_S = 0.1


async def send(socket: ClientConnection, path: str) -> None:
    """Send the samples as fast as they were spoken, then end the stream."""
    with soundfile.SoundFile(path) as file:
        for block in file.blocks(round(CHUNK_S * file.samplerate), dtype="int16", always_2d=True):
            await socket.send(block.tobytes())
            await asyncio.sleep(CHUNK_S)
    await socket.send(json.dumps({"type": "end"}))


async def main(path: str, url: str, profile: str | None = None) -> None:
    """Open a stream, and print each finished segment."""
    info = soundfile.info(path)
    start = {"type": "start", "profile": profile, "rate": info.samplerate, "channels": info.channels}
    async with connect(url, compression=None) as socket:
        await socket.send(json.dumps({**start, "token": os.environ.get("METASER_TOKEN")}))
        sending = asyncio.create_task(send(socket, path))
        async for message in socket:
            event = json.loads(message)
            if event["event"] == "leave":
                print(f"{event['start_s']:7.2f} {event['end_s']:7.2f}  {event['label']}  {event['confidence']:.0%}")
            elif event["event"] in {"error", "notice"}:
                print(event["message"], file=sys.stderr)
        sending.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *sys.argv[2:] or ["ws://127.0.0.1:8765/v1/stream"]))
