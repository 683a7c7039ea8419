"""Finding the recordings in an audio file and their true lengths, without relying on its headers.

libsndfile trusts a header's length, or guesses one, and reads the first of several recordings only. So each part is
handed to it as a file of its own whose header is right.
"""

from __future__ import annotations

from importlib import import_module

from metaser.runtime.audio.formats.part import Part
from metaser.runtime.system.file_bytes import FileBytes

READERS = {
    "AIFF": "chunked",
    "AU": "au",
    "CAF": "chunked",
    "FLAC": "flac",
    "MP1": "mpeg",
    "MP2": "mpeg",
    "MP3": "mpeg",
    "Ogg Opus": "ogg",
    "Ogg Vorbis": "ogg",
    "RF64": "chunked",
    "RIFX": "chunked",
    "W64": "chunked",
    "WAV": "chunked",
}
"""The name that `format_of` gives -> the module that reads it, which is loaded when it is needed."""


def parts_of(file: FileBytes, kind: str | None) -> list[Part]:
    """The recordings in a file of a format, in order; at least one.

    What is not recognised is given without its name, by whose suffix libsndfile would take it for MP3.
    """
    parts: list[Part] = []
    if family := READERS.get(kind or ""):
        parts = getattr(import_module(f"metaser.runtime.audio.formats.{family}"), f"{family}_parts")(file)
    return parts or [Part(((0, file.size),))]
