"""Random access to the bytes of a file, and a file assembled from pieces of another."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

CACHE_BYTES = 1 << 18

Piece: TypeAlias = "bytes | tuple[int, int]"
"""Literal bytes, or (start, end) of the underlying file."""


class FileBytes:
    """A file opened for reading at any offset; a context manager."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size
        self._start, self._cache = 0, b""

    def at(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start` on; fewer at the end of the file, for which a damaged header may be wrong."""
        size = min(size, self.size - start)
        if size <= 0:
            return b""
        if size > CACHE_BYTES:
            return os.pread(self._descriptor, size, start)
        if not self._start <= start <= start + size <= self._start + len(self._cache):
            self._start, self._cache = start, os.pread(self._descriptor, CACHE_BYTES, start)
        return self._cache[start - self._start : start - self._start + size]

    def find(self, what: bytes, start: int, end: int) -> int:
        """The first offset of `what` at or after `start` and before `end`, or -1."""
        while start < end:
            block = self.at(start, min(CACHE_BYTES, end - start + len(what) - 1))
            found = block.find(what)
            if found >= 0:
                return start + found if start + found < end else -1
            if len(block) < len(what):
                return -1
            start += len(block) - len(what) + 1
        return -1

    def __enter__(self) -> FileBytes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._descriptor)


class PiecedFile(io.RawIOBase):
    """A read-only file of consecutive pieces."""

    def __init__(self, file: FileBytes, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self._file = file
        self._pieces = pieces
        sizes = [len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces]
        self._ends = list(accumulate(sizes))
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the start, the current offset or the end."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ends[-1]}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; return their number."""
        done = 0
        while done < len(buffer) and self._position < self._ends[-1]:
            number = bisect_right(self._ends, self._position)
            piece = self._pieces[number]
            left = self._ends[number] - self._position
            size = min(left, len(buffer) - done)
            if isinstance(piece, bytes):
                content = piece[len(piece) - left :][:size]
            else:
                content = self._file.at(piece[1] - left, size)
                if not content:  # the file was truncated since it was opened
                    break
            buffer[done : done + len(content)] = content
            done += len(content)
            self._position += len(content)
        return done
