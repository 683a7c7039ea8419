"""Damage the bytes of a file, like truncated copies, bad disks, joined files and broken writers.

Each function takes the bytes [n >= 1], those of another file, and a generator, and returns new bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, TypeAlias

Damage: TypeAlias = Callable[[bytes, bytes, random.Random], bytes]

BOUNDARIES = (
    *(0, 1, 2, 3),
    *(2**bits + more for bits in (7, 8, 15, 16, 24, 31, 32, 63, 64) for more in (-1, 0, 1)),
)
"""Boundary values that overflow, are negative, or divide by zero when read as a length or a count."""

HEADER_BYTES = 256
"""Size of the header, with lengths and formats; half of all damage is here."""

MOST_ROUNDS = 3


def damaged(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Apply one to three kinds of damage in sequence."""
    for _ in range(rng.randint(1, MOST_ROUNDS)):
        content = rng.choice(ALL)(content or b"\0", other, rng)
    return content


def flip_bits(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Flip up to eight bits."""
    changed = bytearray(content)
    for _number in range(rng.randint(1, 8)):
        changed[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_end(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Up to everything."""
    return content[: rng.randrange(len(content))]


def cut_start(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Up to everything."""
    return content[rng.randrange(len(content)) :]


def append_noise(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Up to 4 kB."""
    return content + rng.randbytes(rng.randint(1, 4096))


def repeat_piece(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Behind itself."""
    start, end = _span(content, rng)
    return content[:end] + content[start:]


def remove_piece(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """From anywhere."""
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def swap_pieces(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Swap two adjacent pieces."""
    start, end = _span(content, rng)
    middle = rng.randint(start, end)
    return content[:start] + content[middle:end] + content[start:middle] + content[end:]


def fill_piece(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Overwrite a piece with zeros, ones or noise."""
    start, end = _span(content, rng)
    size = end - start
    filled = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    return content[:start] + filled + content[end:]


def splice(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Join the start of one file and the end of another."""
    return content[: _place(content, rng)] + other[_place(other or b"\0", rng) :]


def insert_other(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Overwrite a piece with a piece of another file."""
    start, end = _span(other or b"\0", rng)
    at = _place(content, rng)
    return content[:at] + other[start:end] + content[at + end - start :]


def set_number(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Write a boundary value in 1, 2, 4 or 8 bytes, in either byte order."""
    size = rng.choice((1, 2, 4, 8))
    number = rng.choice(BOUNDARIES) % (1 << 8 * size)
    at = _place(content, rng)
    return content[:at] + number.to_bytes(size, rng.choice(("little", "big"))) + content[at + size :]


def change_length(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Change a four-byte number that may be a length in this file slightly, or double it."""
    starts = range(max(1, min(len(content) - 4, 4 * HEADER_BYTES)))
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    places = [(at, order) for at in starts for order in orders]
    found = [place for place in places if 3 < int.from_bytes(content[place[0] :][:4], place[1]) <= len(content)]
    if not found:
        return set_number(content, b"", rng)
    at, order = rng.choice(found)
    number = int.from_bytes(content[at : at + 4], order)
    changed = rng.choice((number - 1, number + 1, number * 2, number // 2, number + rng.randint(1, 4096)))
    return content[:at] + (changed % (1 << 32)).to_bytes(4, order) + content[at + 4 :]


ALL: tuple[Damage, ...] = (
    flip_bits, cut_end, cut_start, append_noise, repeat_piece, remove_piece, swap_pieces, fill_piece, splice,
    insert_other, set_number, set_number, change_length,
)  # fmt: skip


def _place(content: bytes, rng: random.Random) -> int:
    """A position in the file, half of the time in its header."""
    return rng.randrange(min(len(content), HEADER_BYTES) if rng.random() < 0.5 else len(content))


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    """Start and end of a piece, mostly a short one."""
    start = _place(content, rng)
    longest = len(content) - start
    return start, start + rng.randint(1, min(longest, rng.choice((8, 64, 1024, longest))))
