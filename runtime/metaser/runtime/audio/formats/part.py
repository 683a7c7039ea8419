"""One recording in a file, as libsndfile has to see it."""

from __future__ import annotations

from dataclasses import dataclass

from metaser.runtime.system.file_bytes import Piece

ENDLESS_BYTES = 0x7FFF_0000
"""Programs that cannot seek state a length of 32 bits from here on."""


@dataclass(frozen=True)
class Part:
    """One of the recordings in a file, most often the only one."""

    pieces: tuple[Piece, ...] = ()
    """What makes a file of it whose header is right; empty if that is the whole file as it is."""

    missing: float = 0.0
    """What its header states and the file does not hold, relative to what it holds."""

    is_cut: bool = False
    """Its end is missing, and how much that was cannot be known."""

    is_unfinished: bool = False
    """Its recorder never wrote the length."""
