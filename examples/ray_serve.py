"""Run the server of metaser on Ray Serve, with two replicas: live labels from more processes than one machine has.

    pip install 'metaser[cpu,serve]' 'ray[serve]'
    python examples/ray_serve.py PROFILES [PORT]        # PROFILES is the folder of profiles
    python examples/stream_to_server.py recording.wav ws://127.0.0.1:8765/v1/stream me

A stream is one connection, which stays with one replica. Each replica reads the profiles from the folder, so on several
machines it has to be a shared one. Ray's proxy stands in front: the program that makes it safe on a network is yours.
"""

import os
import sys
import threading
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry

import ray
from ray import serve

from metaser.serve.run import make_app
from metaser.serve.settings import ServeSettings

REPLICAS = 2
STREAMS = 20  # of one replica: what one core carries without a loss


def main(profiles: str, port: int) -> None:
    """Serve until Ctrl-C."""
    settings = ServeSettings(Path(profiles).absolute(), port=port)
    settings.profiles.mkdir(parents=True, exist_ok=True)

    @serve.ingress(lambda: make_app(settings, print))
    class Replica:
        """A process with an engine and the application of the server."""

    replica = serve.deployment(
        Replica,
        name="metaser",
        num_replicas=REPLICAS,
        max_ongoing_requests=STREAMS,
        ray_actor_options={"num_cpus": 0.5},
        graceful_shutdown_timeout_s=10,
    )
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(replica.bind(), name="metaser", route_prefix="/")
    print(f"Serving at http://127.0.0.1:{port} by {REPLICAS} replicas. Ctrl-C stops.", flush=True)
    try:
        threading.Event().wait()
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8765)
