"""The header before samples on a pipe: WAV, RIFX, RF64 or AU, whose length may be unknown."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from metaser.runtime.audio.formats.part import ENDLESS_BYTES
from metaser.runtime.audio.formats.pcm import RawFormat
from metaser.runtime.errors import AudioError, InputError
from metaser.runtime.system.pipe_bytes import READ_BYTES, PipedBytes

HEADED = (b"RIFF", b"RIFX", b"RF64", b"BW64", b".snd")
WIDE = (b"RF64", b"BW64")
LARGEST_HEADER_BYTES = 1 << 24
INTEGER, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
WAV_FORMATS = {
    (INTEGER, 8): "u8", (INTEGER, 16): "s16", (INTEGER, 24): "s24", (INTEGER, 32): "s32",
    (FLOAT, 32): "f32", (FLOAT, 64): "f64", (A_LAW, 8): "alaw", (MU_LAW, 8): "mulaw",
}  # fmt: skip
AU_FORMATS = {1: "mulaw", 2: "s8", 3: "s16be", 4: "s24be", 5: "s32be", 6: "f32be", 7: "f64be", 27: "alaw"}
AU_ENDLESS = 0xFFFF_FFFF
WITHOUT_ORDER = ("u8", "alaw", "mulaw")


@dataclass(frozen=True)
class PcmHeader:
    """The content of a header."""

    form: RawFormat
    header_bytes: int
    data_bytes: int | None
    """None if the length is unknown."""

    order: str = ""
    """Byte order of the chunks' lengths, as in `struct`; empty for AU, which has no chunks."""


def read_header(source: PipedBytes) -> PcmHeader | None:
    """Read the header at the start of a pipe and leave it there; None if the pipe is encoded otherwise.

    Raises:
        AudioError: the header is damaged or truncated.
    """
    start = source.peek(12)
    if start[:4] == b".snd":
        return _au(source)
    if len(start) < 12:
        raise AudioError(f"{source.name} ends within its WAV header: record it again")
    if start[8:12] != b"WAVE":
        return None
    order = ">" if start[:4] == b"RIFX" else "<"
    at, wide = 12, 0
    form: RawFormat | None = None
    while at < LARGEST_HEADER_BYTES:
        name, size = struct.unpack(f"{order}4sI", _bytes(source, at, 8))
        if name == b"data":
            if form is None:
                raise AudioError(f"{source.name}'s WAV header has no format: pipe it from another program")
            if start[:4] in WIDE and size == 2**32 - 1:
                return PcmHeader(form, at + 8, wide if 0 < wide < 1 << 48 else None, order)
            return PcmHeader(form, at + 8, None if size == 0 or size >= ENDLESS_BYTES else size, order)
        if name == b"ds64":
            (wide,) = struct.unpack("<Q", _bytes(source, at + 16, 8))
        if name == b"fmt ":
            form = _wav_format(_bytes(source, at + 8, min(size, 40)), order, source.name)
            if form is None:
                return None
        at += 8 + size + size % 2
    raise AudioError(f"{source.name}'s WAV header is damaged: pipe it from another program")


def next_header(source: PipedBytes, before: PcmHeader) -> PcmHeader | None:
    """Header of what follows a recording: another one, or more of its samples; chunks before it are consumed."""
    while len(chunk := source.peek(8)) == 8:
        if chunk[:4] in HEADED:
            return read_header(source)
        name, size = struct.unpack(f"{before.order or '<'}4sI", chunk)
        if not before.order or not name.isascii() or not name.decode("ascii").isprintable():
            return None
        if name == b"data":
            return replace(before, header_bytes=8, data_bytes=None if size >= ENDLESS_BYTES else size)
        left = 8 + size + size % 2
        while left and (content := source.read(min(left, READ_BYTES))):
            left -= len(content)
    return None


def _bytes(source: PipedBytes, at: int, size: int) -> bytes:
    content = source.peek(at + size)[at:]
    if len(content) < size:
        raise AudioError(f"{source.name} ends within its WAV header: record it again")
    return content


def _wav_format(content: bytes, order: str, name: str) -> RawFormat | None:
    if len(content) < 16:
        raise AudioError(f"{name}'s WAV header is damaged: pipe it from another program")
    tag, channels, rate_hz, _, _, bits = struct.unpack(f"{order}HHIIHH", content[:16])
    if tag == EXTENSIBLE and len(content) >= 26:
        (tag,) = struct.unpack(f"{order}H", content[24:26])
    sample_format = WAV_FORMATS.get((tag, bits))
    if sample_format is None:
        return None
    if sample_format not in WITHOUT_ORDER:
        sample_format += "be" if order == ">" else "le"
    return _checked(rate_hz, channels, sample_format, name)


def _au(source: PipedBytes) -> PcmHeader | None:
    content = source.peek(24)
    if len(content) < 24:
        raise AudioError(f"{source.name} ends within its AU header: record it again")
    header_bytes, size, code, rate_hz, channels = struct.unpack(">5I", content[4:])
    if code not in AU_FORMATS or header_bytes > LARGEST_HEADER_BYTES:
        return None
    form = _checked(rate_hz, channels, AU_FORMATS[code], source.name)
    return PcmHeader(form, header_bytes, None if size in (0, AU_ENDLESS) else size)


def _checked(rate_hz: int, channels: int, sample_format: str, name: str) -> RawFormat:
    try:
        return RawFormat(rate_hz, channels, sample_format)
    except InputError as error:
        raise AudioError(f"{name}'s header cannot be used ({error})") from error
