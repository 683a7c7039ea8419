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


SIGNATURES = {
    "FLAC": (b"fLaC\x00\x00\x00\x22",),
    "Ogg": (b"OggS\x00\x02",),
    "WAV": (b"WAVEfmt ",),
    "MP3": (b"Xing\x00\x00\x00\x0f", b"Info\x00\x00\x00\x0f"),
}
"""How a recording begins: bytes that are in no recording of another format."""

OWN = {"Ogg Opus": "Ogg", "Ogg Vorbis": "Ogg", "RF64": "WAV", "RIFX": "WAV", "W64": "WAV", "MP1": "MP3", "MP2": "MP3"}
"""Format -> the name of its signature, if it is another."""


def other_recording(file: FileBytes, kind: str | None) -> str | None:
    """The format of a recording that follows one of `kind` in a file, joined to it, and is not read."""
    for name, signatures in SIGNATURES.items():
        if name != OWN.get(kind or "", kind) and any(file.find(each, 1, file.size) >= 0 for each in signatures):
            return name
    return None


def parts_of(file: FileBytes, kind: str | None) -> list[Part]:
    """The recordings in a file of a format, in order; at least one.

    What is not recognised is given without its name, by whose suffix libsndfile would take it for MP3.
    """
    parts: list[Part] = []
    if family := READERS.get(kind or ""):
        parts = getattr(import_module(f"metaser.runtime.audio.formats.{family}"), f"{family}_parts")(file)
    return parts or [Part(((0, file.size),))]
