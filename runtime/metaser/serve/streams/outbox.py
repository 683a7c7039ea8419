"""Messages that wait for a client to read them: updates are dropped first, other events never."""

from __future__ import annotations

from collections import deque

import anyio

UPDATES = 64
"""With more messages waiting, an update is dropped for each that comes."""

MOST = 1024
"""With more waiting, the client is too slow for the stream."""


class Outbox:
    """A queue between the stream and the socket of one client."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, bool]] = deque()  # text, and whether it is an update
        self._news = anyio.Event()
        self._closed = False
        self.dropped = 0
        """Updates that were dropped."""

    @property
    def is_overrun(self) -> bool:
        """Whether the client reads so slowly that events would have to be dropped."""
        return len(self._waiting) >= MOST

    def put(self, text: str, *, is_update: bool = False) -> None:
        """Add a message, unless it is an update and too many wait; another one takes the place of the oldest update."""
        if len(self._waiting) >= UPDATES:
            if is_update:
                self.dropped += 1
                return
            self._drop_update()
        self._waiting.append((text, is_update))
        self._news.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._news.set()

    async def get(self) -> str | None:
        """The next message; None after the last."""
        while not self._waiting:
            if self._closed:
                return None
            self._news = anyio.Event()
            await self._news.wait()
        return self._waiting.popleft()[0]

    def _drop_update(self) -> None:
        place = next((place for place, (_, is_update) in enumerate(self._waiting) if is_update), None)
        if place is not None:
            del self._waiting[place]
            self.dropped += 1
