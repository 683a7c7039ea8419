"""Finding the recordings in a file of chunks (WAV, RIFX, RF64, W64, AIFF, CAF) without relying on stated lengths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from metaser.runtime.audio.formats.kind import format_of
from metaser.runtime.audio.formats.part import ENDLESS_BYTES, Part
from metaser.runtime.system.file_bytes import FileBytes

UNKNOWN_BYTES = 1 << 48
"""A 64-bit length of at least this means that the length is unknown."""

WIDE = (b"RF64", b"BW64")
"""Formats that store 64-bit lengths in a separate chunk."""

HEAD_BYTES = 64
CHUNKS_AT_MOST = 10_000


@dataclass(frozen=True)
class Layout:
    """Layout of the chunks in a family of formats."""

    first: int
    """Offset of the first chunk."""

    id_bytes: int
    size_bytes: int
    order: Literal["little", "big"]
    align: int
    data: bytes
    size_has_header: bool = False
    prefix_bytes: int = 0
    """Bytes before the samples within the data chunk."""

    @property
    def header_bytes(self) -> int:
        """Bytes before a chunk's content."""
        return self.id_bytes + self.size_bytes

    @property
    def is_riff(self) -> bool:
        """Whether it is a variant of WAV."""
        return self.size_bytes == 4 and self.data == b"data"


LAYOUTS = {
    "WAV": Layout(12, 4, 4, "little", 2, b"data"),
    "RF64": Layout(12, 4, 4, "little", 2, b"data"),
    "RIFX": Layout(12, 4, 4, "big", 2, b"data"),
    "AIFF": Layout(12, 4, 4, "big", 2, b"SSND", prefix_bytes=8),
    "CAF": Layout(8, 4, 8, "big", 1, b"data", prefix_bytes=4),
    "W64": Layout(40, 16, 8, "little", 8, b"data", size_has_header=True),
}


def chunked_parts(file: FileBytes) -> list[Part]:
    """The recordings in a file of chunks, one after the other."""
    parts: list[Part] = []
    start = _first(file)
    while start is not None:
        is_bw64 = file.at(start, 4) == b"BW64"
        part, following = _part(file, start)
        first = part.pieces[0]
        if is_bw64 and isinstance(first, tuple):  # libsndfile does not support BW64, which is RF64 by another name
            part = replace(part, pieces=(b"RF64", (start + 4, first[1]), *part.pieces[1:]))
        parts.append(part)
        start = following
    if len(parts) == 1 and parts[0].pieces == ((0, file.size),):
        return [Part(missing=parts[0].missing)]
    return parts


def _first(file: FileBytes) -> int | None:
    """Offset of the first recording, after tags before it."""
    head = file.at(0, 1 << 16)
    if format_of(head[:HEAD_BYTES]) in LAYOUTS:
        return 0
    for start in map(head.find, (b"RIFF", b"RIFX", b"RF64", b"FORM", b"caff")):
        if start >= 0 and format_of(head[start : start + HEAD_BYTES]) in LAYOUTS:
            return start
    return None


def _part(file: FileBytes, start: int) -> tuple[Part, int | None]:
    """The recording that begins at `start`, and the offset of the next one."""
    layout = LAYOUTS[format_of(file.at(start, HEAD_BYTES)) or ""]
    at, wide = start + layout.first, 0  # the 64-bit length of RF64
    for _ in range(CHUNKS_AT_MOST):
        header = file.at(at, layout.header_bytes)
        if len(header) < layout.header_bytes:
            return Part(((start, file.size),)), None
        name = header[:4]
        size = int.from_bytes(header[layout.id_bytes :], layout.order)
        size -= layout.header_bytes if layout.size_has_header and size >= layout.header_bytes else 0
        content = at + layout.header_bytes
        if name == layout.data:
            break
        if name == b"ds64":
            wide = int.from_bytes(file.at(content + 8, 8), "little")
        at = _aligned(content + size, layout, start)
        if not _is_name(file.at(at, 4)) and _is_name(file.at(at - 1, 4)):
            at -= 1  # written without padding
    else:
        return Part(((start, file.size),)), None
    if file.at(start, 4) in WIDE and size == 2**32 - 1:
        size = wide
    return _sized_part(file, layout, (start, at, content), size)


def _sized_part(file: FileBytes, layout: Layout, places: tuple[int, int, int], size: int) -> tuple[Part, int | None]:
    """The part whose data is stated to have `size` bytes; `places` are its start, its data chunk and its samples."""
    start, chunk, content = places
    there = file.size - content
    is_unfinished = size == 0 and there > 0 and not _ends_with_chunks(file, layout, content, start)
    if is_unfinished or size >= UNKNOWN_BYTES:
        return Part(_rebuilt(file, layout, start, chunk, content), is_unfinished=is_unfinished), None
    if size > there:
        is_endless = layout.size_bytes == 4 and size >= ENDLESS_BYTES and file.at(start, 4) not in WIDE
        missing = 0.0 if is_endless else (size - there) / max(1, there - layout.prefix_bytes)
        if layout.data == b"data" and layout.size_bytes == 8 and layout.order == "big" and there:
            return Part(_rebuilt(file, layout, start, chunk, content), missing), None  # libsndfile refuses such a CAF
        return Part(((start, file.size),), missing), None
    end = _aligned(content + size, layout, start)
    data = [(content, content + size)]
    following = None
    for _ in range(CHUNKS_AT_MOST):
        if format_of(file.at(end, HEAD_BYTES)) in LAYOUTS:
            following = end
            break
        header = file.at(end, layout.header_bytes)
        if len(header) < layout.header_bytes or not _is_name(header[:4]):
            break
        length = int.from_bytes(header[layout.id_bytes :], layout.order)
        if header[:4] == layout.data and layout.is_riff:
            data.append((end + layout.header_bytes, min(end + layout.header_bytes + length, file.size)))
        end = _aligned(end + length + (0 if layout.size_has_header else layout.header_bytes), layout, start)
    if len(data) > 1:  # libsndfile refuses a second one
        stated = sum(stop - first for first, stop in data).to_bytes(layout.size_bytes, layout.order)
        return Part(((start, chunk + layout.id_bytes), stated, *data)), following
    return Part(((start, file.size if following is None else following),)), following


def _rebuilt(
    file: FileBytes, layout: Layout, start: int, chunk: int, content: int
) -> tuple[tuple[int, int] | bytes, ...]:
    """The recording with everything after its header as its data."""
    there = file.size - content
    if layout.is_riff:
        mark = b"RIFX" if layout.order == "big" else b"RIFF"
        form, data = (min(size, 2**32 - 1).to_bytes(4, layout.order) for size in (content + there - start - 8, there))
        return (mark + form, (start + 8, chunk + 4), data, (content, file.size))
    size = there + (layout.header_bytes if layout.size_has_header else 0)
    stated = size.to_bytes(layout.size_bytes, layout.order)
    return ((start, chunk + layout.id_bytes), stated, (content, file.size))


def _ends_with_chunks(file: FileBytes, layout: Layout, at: int, start: int) -> bool:
    """Whether chunks fill the file from here to its end, so that an empty one in front of them is truly empty."""
    for _ in range(CHUNKS_AT_MOST):
        if at >= file.size:
            return True
        header = file.at(at, layout.header_bytes)
        if len(header) < layout.header_bytes or not _is_name(header[:4]):
            return False
        length = int.from_bytes(header[layout.id_bytes :], layout.order)
        if not layout.size_has_header:
            length += layout.header_bytes
        if length < layout.header_bytes:
            return False
        at = _aligned(at + length, layout, start)
    return False


def _aligned(at: int, layout: Layout, start: int) -> int:
    return start + -(-(at - start) // layout.align) * layout.align


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)
