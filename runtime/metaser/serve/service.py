"""What the requests and streams of one worker share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from metaser.links.all_links import Links
from metaser.runtime import Engine
from metaser.runtime.system.cores import best_threads
from metaser.serve.access import Access
from metaser.serve.answers import RefusedError
from metaser.serve.capacity import measure_capacity
from metaser.serve.metrics import Metrics
from metaser.serve.profiles import Profiles
from metaser.serve.settings import ServeSettings

Given = ParamSpec("Given")
Result = TypeVar("Result")

RETRY_S = 5
LOOKUPS = 2
"""Profiles that are read at once."""


class Service:
    """A worker: its engine, its profiles, and how much of it is in use."""

    def __init__(self, settings: ServeSettings, engine: Engine, links: Links) -> None:
        self.settings, self.engine, self.links = settings, engine, links
        self.access = Access(settings)
        self.metrics = Metrics()
        self.profiles = Profiles(settings.profiles, self.engine)
        self.most_streams = settings.limits.streams or measure_capacity(self.engine, settings.workers)
        self.metrics.capacity.set(self.most_streams)
        self.connections = 0
        self.streams = 0
        self.draining = anyio.Event()
        cores = max(1, best_threads() // settings.workers)
        self._stream_pool = anyio.CapacityLimiter(cores)
        self._lookup_pool = anyio.CapacityLimiter(LOOKUPS)
        self._request_pool = anyio.CapacityLimiter(max(1, cores // 2))

    @property
    def is_draining(self) -> bool:
        """Whether the worker is stopping."""
        return self.draining.is_set()

    @property
    def refusal(self) -> RefusedError | None:
        """Why no further stream can be started now, if so; a stream that is stopped at once is none."""
        if self.streams >= self.most_streams:
            return RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "capacity",
                f"{self.streams} streams are started, as many as this server carries: try again later",
                retry_after_s=RETRY_S,
            )
        return None

    def check_room(self) -> None:
        """Raise RefusedError if there are as many connections as allowed, or the worker is stopping."""
        if self.is_draining:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "stopping", "the server is stopping", retry_after_s=RETRY_S
            )
        if self.connections >= self.settings.limits.connections:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "connections",
                f"{self.connections} connections are open, as many as this server takes: try again later",
                retry_after_s=RETRY_S,
            )

    @contextmanager
    def counted_connection(self) -> Iterator[None]:
        """Count a connection while it is open."""
        self.connections += 1
        self.metrics.connections.inc()
        try:
            yield
        finally:
            self.connections -= 1
            self.metrics.connections.dec()

    @contextmanager
    def counted_stream(self) -> Iterator[None]:
        """Count a stream while it is started."""
        self.streams += 1
        self.metrics.streams.inc()
        try:
            yield
        finally:
            self.streams -= 1
            self.metrics.streams.dec()

    async def of_stream(self, work: Callable[Given, Result], *args: Given.args, **options: Given.kwargs) -> Result:
        """Run the work of a stream in a thread; as many at once as there are cores, in the order of the calls."""
        return await anyio.to_thread.run_sync(partial(work, *args, **options), limiter=self._stream_pool)

    async def of_lookup(self, work: Callable[Given, Result], *args: Given.args, **options: Given.kwargs) -> Result:
        """Run what takes a moment, such as reading a profile, in a thread; it waits for no model."""
        return await anyio.to_thread.run_sync(partial(work, *args, **options), limiter=self._lookup_pool)

    async def of_request(self, work: Callable[Given, Result], *args: Given.args, **options: Given.kwargs) -> Result:
        """Run the work of a request in a thread; fewer at once than the work of streams."""
        return await anyio.to_thread.run_sync(partial(work, *args, **options), limiter=self._request_pool)
