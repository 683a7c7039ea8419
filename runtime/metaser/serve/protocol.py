"""uvicorn's protocols with limits that they do not have, so that no client holds a connection or memory for ever.

A client may say nothing, or half a request; send a head that only one of the two libraries behind an upgrade accepts;
ask and not read the answers; or close and not let the connection end.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

REQUEST_S = 10.0
"""The time in which a request must begin."""

STALLED_S = 30.0
"""The time in which a client must read some of what waits for it."""

CLOSE_S = 10.0
"""The time in which a connection must end after its stream."""

MOST_UNSENT_BYTES = 2**20
"""Answers to pings that wait for a client; events stop waiting earlier."""

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class StallGuard(asyncio.Protocol):
    """Ends the connection of a client that reads nothing for too long."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stall_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Begin to wait for the client."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        self._stop_waiting()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


class BoundedProtocol(StallGuard, H11Protocol):
    """Closes a connection on which no whole request head arrives in time."""

    _head_timer: asyncio.TimerHandle | None = None
    _is_upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(REQUEST_S, self._close_if_waiting)

    def data_received(self, data: bytes) -> None:
        """Take data; wait for the rest of a request that has begun on a connection that was kept."""
        super().data_received(data)
        if not self._is_waiting:
            self._cancel_head_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(REQUEST_S, self._close_if_waiting)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand over to a WebSocket, unless its library refuses the head, which it does without a word."""
        self._is_upgraded = True
        self._cancel_head_timer()
        self._stop_waiting()
        super().handle_websocket_upgrade(event)
        protocol: Any = self.transport.get_protocol()
        if not protocol.handshake_initiated:
            self.transport.write(BAD_REQUEST)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._cancel_head_timer()
        super().connection_lost(exc)

    @property
    def _is_waiting(self) -> bool:
        cycle: Any = self.cycle
        return not self._is_upgraded and (cycle is None or cycle.response_complete)

    def _close_if_waiting(self) -> None:
        self._head_timer = None
        if self._is_waiting and not self.transport.is_closing():
            self.transport.close()

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class BoundedWebSocket(StallGuard, WebSocketsSansIOProtocol):
    """Ends a connection that does not read the answers to its pings, or does not end after its stream."""

    def data_received(self, data: bytes) -> None:
        """Take data."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self.transport.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application is done with the connection."""
        super().on_task_complete(task)
        self.loop.call_later(CLOSE_S, self.transport.abort)
