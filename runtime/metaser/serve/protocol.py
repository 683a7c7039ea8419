"""uvicorn's HTTP protocol with a limit on the time in which a request must begin, which it does not have.

A client that connects and says nothing, or half a request, would hold its connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0


class BoundedProtocol(H11Protocol):
    """Closes a connection on which no whole request head arrives in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(REQUEST_S, self._close_if_waiting)

    def data_received(self, data: bytes) -> None:
        """Take data; wait for the rest of a request that has begun on a connection that was kept."""
        super().data_received(data)
        if self._head_timer is None and self._is_waiting:
            self._head_timer = self.loop.call_later(REQUEST_S, self._close_if_waiting)

    @property
    def _is_waiting(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _close_if_waiting(self) -> None:
        self._head_timer = None
        if self._is_waiting and self.transport.get_protocol() is self and not self.transport.is_closing():
            self.transport.close()
