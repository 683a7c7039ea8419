"""Finding what a file of sound really holds: its parts and their true lengths, whatever its headers state.

libsndfile trusts a header's length, or guesses one, and reads the first of several recordings only. So each part is
handed to it as a file of its own whose header is right.
"""

from __future__ import annotations

from collections.abc import Callable

from metaser.runtime.chunked_parts import au_parts, chunked_parts
from metaser.runtime.file_bytes import FileBytes
from metaser.runtime.flac_parts import flac_parts
from metaser.runtime.mpeg_parts import mpeg_parts
from metaser.runtime.ogg_parts import ogg_parts
from metaser.runtime.part import Part

READERS: dict[str, Callable[[FileBytes], list[Part]]] = {
    "AIFF": chunked_parts,
    "AU": au_parts,
    "CAF": chunked_parts,
    "FLAC": flac_parts,
    "MP1": mpeg_parts,
    "MP2": mpeg_parts,
    "MP3": mpeg_parts,
    "Ogg Opus": ogg_parts,
    "Ogg Vorbis": ogg_parts,
    "RF64": chunked_parts,
    "RIFX": chunked_parts,
    "W64": chunked_parts,
    "WAV": chunked_parts,
}
"""By the name that `format_of` gives."""


def parts_of(file: FileBytes, kind: str | None) -> list[Part]:
    """The recordings in a file of a format, in order; at least one.

    What is not recognised is given without its name, by whose suffix libsndfile would take it for MP3.
    """
    read = READERS.get(kind or "")
    return (read(file) if read else []) or [Part(((0, file.size),))]
