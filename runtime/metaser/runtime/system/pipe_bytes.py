"""Bytes from a file descriptor that can be peeked at before they are taken."""

from __future__ import annotations

import os
import select

READ_BYTES = 65_536
POLL_S = 0.1


class PipedBytes:
    """The content of a pipe; also a file for sequential reading."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._buffer = b""
        self.name = name
        self.is_ended = False

    @property
    def buffered(self) -> int:
        """Number of bytes that have arrived and were not taken."""
        return len(self._buffer)

    def fill(self) -> None:
        """Get more bytes, or none if none arrive soon."""
        ready, _, _ = select.select([self._descriptor], [], [], POLL_S)
        if ready:
            content = os.read(self._descriptor, READ_BYTES)
            self.is_ended = not content
            self._buffer += content

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, which stay; fewer at the end."""
        while len(self._buffer) < size and not self.is_ended:
            self.fill()
        return self._buffer[:size]

    def take(self, size: int) -> bytes:
        """Up to `size` of the bytes that have arrived."""
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def read(self, size: int = READ_BYTES) -> bytes:
        """Up to `size` bytes; none only at the end."""
        while not self._buffer and not self.is_ended:
            self.fill()
        return self.take(size)
