"""Finding the recordings in an AU file without relying on stated lengths."""

from __future__ import annotations

from typing import Literal

from metaser.runtime.audio.formats.part import ENDLESS_BYTES, Part
from metaser.runtime.system.file_bytes import FileBytes

AU_HEADER_BYTES = 24


def au_parts(file: FileBytes) -> list[Part]:
    """The recordings in an AU file, one after the other."""
    parts: list[Part] = []
    start = 0
    while start < file.size:
        head = file.at(start, AU_HEADER_BYTES)
        if len(head) < AU_HEADER_BYTES or head[:4] not in (b".snd", b"dns."):
            break
        order: Literal["little", "big"] = "big" if head[:4] == b".snd" else "little"
        content, size = (int.from_bytes(head[at : at + 4], order) for at in (4, 8))
        there = file.size - start - content
        if size >= ENDLESS_BYTES or size == 0 or size > there:
            is_cut = 0 < there < size < ENDLESS_BYTES
            parts.append(Part(((start, file.size),), (size - there) / there if is_cut else 0.0))
            break
        end = start + content + size
        parts.append(Part(((start, end),)))
        start = end
    return [Part(missing=parts[0].missing)] if [part.pieces for part in parts] == [((0, file.size),)] else parts
