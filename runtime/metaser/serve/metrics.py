"""Counters of a server for Prometheus, summed over its workers."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which workers share their counters."""

LATENCIES_S = (0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The counters of one process. With several workers, the folder in `SHARED_FOLDER` holds those of all."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.connections = Gauge(
            "metaser_connections", "Open connections.", registry=registry, multiprocess_mode="livesum"
        )
        self.streams = Gauge("metaser_streams", "Started streams.", registry=registry, multiprocess_mode="livesum")
        self.capacity = Gauge(
            "metaser_stream_capacity", "Streams that may be started.", registry=registry, multiprocess_mode="livesum"
        )
        self.refused = Counter(
            "metaser_refused_total", "Refused connections, streams and requests.", ["code"], registry=registry
        )
        self.requests = Counter("metaser_requests_total", "Answered requests.", ["status"], registry=registry)
        self.audio_s = Counter("metaser_audio_seconds_total", "Audio received in streams.", registry=registry)
        self.lost_s = Counter("metaser_lost_seconds_total", "Audio lost in streams.", registry=registry)
        self.overloads = Counter("metaser_overloads_total", "Overload events of streams.", registry=registry)
        self.unsent = Counter("metaser_unsent_updates_total", "Updates that slow clients missed.", registry=registry)
        self.latency = Histogram(
            "metaser_event_latency_seconds",
            "From the arrival of the sample that made an event due to its sending.",
            buckets=LATENCIES_S,
            registry=registry,
        )

    def text(self) -> bytes:
        """All counters in Prometheus's text format."""
        folder = os.environ.get(SHARED_FOLDER)
        if not folder:
            return generate_latest(self._registry)
        _forget_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_dead(folder: Path) -> None:
    """Leave out the open connections and streams of workers that are gone."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]
