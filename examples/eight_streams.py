"""Serve eight streams with one engine, one thread per stream: `python eight_streams.py support/ recording.wav`.

The engine holds no stream state and is shared. Each stream object belongs to one thread.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from metaser.runtime import Engine, read_blocks

STREAMS = 8
CHUNK_SAMPLES = 1600

engine = Engine.open(threads=1)  # one thread per stream is enough, because the streams run in parallel
profile = engine.enroll(sys.argv[1])


def serve(_: int) -> list[str]:
    """Label the recording as one stream."""
    labels = []
    stream = None
    for block, sample_rate_hz in read_blocks(sys.argv[2]):
        stream = stream or engine.stream(profile, sample_rate_hz=sample_rate_hz)
        for start in range(0, len(block), CHUNK_SAMPLES):
            events = stream.push(block[start : start + CHUNK_SAMPLES])
            labels += [event.label or "unknown" for event in events if event.event == "leave"]
    if stream:
        labels += [event.label or "unknown" for event in stream.finish() if event.event == "leave"]
    return labels


with ThreadPoolExecutor(STREAMS) as pool:
    for number, labels in enumerate(pool.map(serve, range(STREAMS))):
        print(f"stream {number}: {' '.join(labels)}")
