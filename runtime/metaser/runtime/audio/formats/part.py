"""One recording in a file, in the form that libsndfile reads."""

from __future__ import annotations

from dataclasses import dataclass

from metaser.runtime.system.file_bytes import Piece

ENDLESS_BYTES = 0x7FFF_0000
"""Programs that cannot seek write a 32-bit length of at least this."""


@dataclass(frozen=True)
class Part:
    """One of the recordings in a file, usually the only one."""

    pieces: tuple[Piece, ...] = ()
    """Pieces that form a file with a correct header; empty if the file is correct as it is."""

    missing: float = 0.0
    """Samples that the header states but the file lacks, relative to those it holds."""

    is_cut: bool = False
    """Its end is missing, by an unknown amount."""

    is_damaged: bool = False
    """Pages in it are missing."""

    is_unfinished: bool = False
    """Its recorder never wrote the length."""
