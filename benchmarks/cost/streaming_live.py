"""Parallel live streams: one engine, one thread and one ring buffer per stream, fed in real time like a microphone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from metaser.runtime import Engine, Profile, StreamEvent, StreamSettings
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.microphone import RING_S
from metaser.runtime.audio.ring import Ring

BLOCK = 512
Audio = npt.NDArray[np.float32]


@dataclass
class Served:
    """Results of one stream."""

    events: list[StreamEvent] = field(default_factory=list)
    dropped_samples: int = 0
    widest_hop_s: float = 0.0
    ended_at: float = 0.0


def serve(  # noqa: PLR0913 # what a run is
    engine: Engine, profile: Profile, audio: Audio, settings: StreamSettings, *, streams: int, in_step: bool
) -> dict[str, object]:
    """Play `audio` into every stream in real time; return the results over all streams.

    Unless `in_step`, each stream starts at a different place of the audio and at a different offset within a hop,
    because real streams are not synchronised.
    """
    rings = [Ring(round(RING_S * SAMPLE_RATE_HZ)) for _ in range(streams)]
    hop_samples = round(settings.hop_s * SAMPLE_RATE_HZ)
    tracks = [audio if in_step else _track(audio, i / streams, hop_samples) for i in range(streams)]
    feeder = threading.Thread(target=_feed, args=(tracks, rings))
    engine.embed(audio[:SAMPLE_RATE_HZ])  # warm-up
    busy = time.process_time()
    feeder.start()
    with ThreadPoolExecutor(streams) as pool:
        served = list(pool.map(lambda ring: _listen(engine, profile, settings, ring), rings))
    feeder.join()
    busy = time.process_time() - busy
    heard = [event for each in served for event in each.events]
    latencies = [event.latency_ms for event in heard if event.event in ("enter", "update")]
    p50, p95, worst = np.percentile(latencies, [50, 95, 100])
    return {
        "seconds": round(len(audio) / SAMPLE_RATE_HZ, 1),
        "windows": len(latencies),
        "window_to_event_ms_p50": round(float(p50), 1),
        "window_to_event_ms_p95": round(float(p95), 1),
        "window_to_event_ms_max": round(float(worst), 1),
        "dropped_ms": round(1000 * sum(each.dropped_samples for each in served) / SAMPLE_RATE_HZ, 1),
        "overload_events": sum(event.event == "overload" for event in heard),
        "widest_hop_s": max(each.widest_hop_s for each in served),
        "behind_at_the_end_s": round(
            max(each.ended_at - ring.written_at for each, ring in zip(served, rings, strict=True)), 3
        ),
        "cores_all_streams": round(busy * SAMPLE_RATE_HZ / len(audio), 3),
        "core_share_a_stream": round(busy * SAMPLE_RATE_HZ / len(audio) / streams, 4),
    }


def _track(audio: Audio, part: float, hop_samples: int) -> Audio:
    """The audio rotated by a share of its length, after silence of the same share of a hop."""
    silence = np.zeros(round(part * hop_samples), np.float32)
    return np.concatenate([silence, np.roll(audio, -round(part * len(audio)))])[: len(audio)]


def _feed(tracks: list[Audio], rings: list[Ring]) -> None:
    """Write a block of each track into its ring when its last sample is due."""
    began = time.perf_counter()
    for start in range(0, len(tracks[0]), BLOCK):
        time.sleep(max(0.0, began + (start + BLOCK) / SAMPLE_RATE_HZ - time.perf_counter()))
        for track, ring in zip(tracks, rings, strict=True):
            ring.write(track[start : start + BLOCK, None])
    for ring in rings:
        ring.close()


def _listen(engine: Engine, profile: Profile, settings: StreamSettings, ring: Ring) -> Served:
    """Read the ring buffer to its end into a stream."""
    served = Served()
    stream = engine.stream(profile, settings=settings, live=True)
    while not ring.is_closed:
        samples, lost, heard_at = ring.read(0.1)
        served.dropped_samples += lost
        dropped_ms = 1000 * served.dropped_samples / SAMPLE_RATE_HZ
        served.events += stream.push(samples[:, 0], heard_at=heard_at, dropped_ms=dropped_ms)
        served.widest_hop_s = max(served.widest_hop_s, stream.hop_s)
    served.events += stream.finish()
    served.ended_at = time.perf_counter()
    return served
