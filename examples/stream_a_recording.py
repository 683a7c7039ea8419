"""Print the segments of a recording as they end: `python stream_a_recording.py support/ recording.wav`."""

import sys

from metaser.runtime import Engine, StreamEvent, read_blocks

engine = Engine.open(threads=1)
profile = engine.enroll(sys.argv[1])


def show(events: list[StreamEvent]) -> None:
    """Print the segments that have ended."""
    for event in events:
        if event.event == "leave":
            print(f"{event.start_s:8.2f} {event.end_s:8.2f}  {event.label or 'unknown'}", flush=True)


stream = None
for block, sample_rate_hz in read_blocks(sys.argv[2]):
    stream = stream or engine.stream(profile, sample_rate_hz=sample_rate_hz)
    show(stream.push(block))
if stream:
    show(stream.finish())
