"""Finding the recordings in a FLAC file. Lengths come from the last frames: STREAMINFO may state none or too much."""

from __future__ import annotations

from dataclasses import dataclass

from metaser.runtime.audio.formats.part import Part
from metaser.runtime.system.file_bytes import FileBytes, Piece

MARKER = b"fLaC"
STREAM_INFO = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")
"""The header of the first metadata block, which may be the last."""

INFO_AT, INFO_BYTES = 8, 34
LARGEST_FRAME_BYTES = 1 << 20
HEADER_BYTES = 16
SYNCS = (b"\xff\xf8", b"\xff\xf9")
LOOKED_AT = 6
FEWEST_FRAME_BYTES = 8
BEHIND = (MARKER, bytes(4), b"TAG", b"ID3", b"APETAGEX")
"""What can follow the last frame: padding, tags, another file."""


@dataclass(frozen=True)
class _Frame:
    at: int
    """Its place in the file."""

    end_sample: int
    """The number of the sample after its last."""


def flac_parts(file: FileBytes) -> list[Part]:
    """The recordings in a FLAC file."""
    starts = []
    at = file.find(MARKER, 0, file.size)
    while at >= 0:
        after = at + len(MARKER)
        if file.at(after, 4) in STREAM_INFO:
            starts.append(at)
            after = _after_metadata(file, after, file.size) or after  # pictures can hold anything
        at = file.find(MARKER, after, file.size)
    is_whole = starts == [0]
    return [
        _part(file, start, end, is_whole=is_whole)
        for start, end in zip(starts, [*starts[1:], file.size][: len(starts)], strict=True)
    ]  # fmt: skip


def _part(file: FileBytes, start: int, end: int, *, is_whole: bool) -> Part:
    pieces: tuple[Piece, ...] = () if is_whole else ((start, end),)
    info = file.at(start + INFO_AT, INFO_BYTES)
    first = _after_metadata(file, start + len(MARKER), end)
    if len(info) < INFO_BYTES or first is None:
        return Part(pieces)
    stated = int.from_bytes(info[13:18], "big") & 0xF_FFFF_FFFF  # 36 bits
    last = _last_frames(file, max(first, end - LARGEST_FRAME_BYTES), end, int.from_bytes(info[:2], "big"))
    there, end = _whole_frames(file, last, end)
    if there in (0, stated):
        return Part(pieces)
    patched = info[:13] + bytes([info[13] & 0xF0 | there >> 32]) + (there & 0xFFFF_FFFF).to_bytes(4, "big") + bytes(16)
    return Part(
        ((start, start + INFO_AT), patched, (start + INFO_AT + INFO_BYTES, end)),
        max(0, stated - there) / there if stated else 0.0,
    )


def _after_metadata(file: FileBytes, at: int, end: int) -> int | None:
    """Offset of the first frame."""
    while at < end:
        head = file.at(at, 4)
        at += 4 + int.from_bytes(head[1:4], "big")
        if head[0] & 0x80:
            return at
    return None


def _last_frames(file: FileBytes, start: int, end: int, block: int) -> list[_Frame]:
    """Candidates for the last frames before `end`, the last first; all but the last hold `block` samples."""
    content = file.at(start, end - start)
    frames: list[_Frame] = []
    at = len(content)
    while len(frames) < LOOKED_AT and (at := max(content.rfind(sync, 0, at) for sync in SYNCS)) >= 0:
        if found := _read_header(content[at : at + HEADER_BYTES], block):
            frames.append(_Frame(start + at, sum(found)))
    return frames


def _whole_frames(file: FileBytes, last: list[_Frame], end: int) -> tuple[int, int]:
    """(samples, end) of all frames whose checksum is right; bytes within a frame can look like a header."""
    for frame in last:
        if size := _frame_bytes(file.at(frame.at, end - frame.at)):
            return frame.end_sample, frame.at + size
    return 0, end


def _frame_bytes(content: bytes) -> int:
    """The size of the frame at the front, by its checksum; 0 if it is not whole.

    It is followed by nothing, by part of the next frame's header, or by bytes that do not belong to a frame.
    """
    crc = 0
    for at, byte in enumerate(content, start=1):
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
        if not crc and at > FEWEST_FRAME_BYTES and _can_follow(content[at : at + 8]):
            return at
    return 0


def _can_follow(content: bytes) -> bool:
    return not content or content[:2] in (*SYNCS, b"\xff") or content.startswith(BEHIND)


def _read_header(head: bytes, block: int) -> tuple[int, int] | None:
    """(first sample, samples) of a frame header with a right checksum."""
    if len(head) < 6 or head[1] not in (0xF8, 0xF9) or head[2] & 0x0F == 0x0F or head[3] & 1:
        return None
    length = _coded_length(head[4])
    if not length:
        return None
    number = head[4] & (0x7F if length == 1 else (1 << 7 - length) - 1)
    for byte in head[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    at = 4 + length
    code = head[2] >> 4
    if code == 6:
        samples, at = head[at] + 1, at + 1
    elif code == 7:
        samples, at = int.from_bytes(head[at : at + 2], "big") + 1, at + 2
    elif code:
        samples = 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
    else:
        return None
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 0x0F, 0)
    if len(head) <= at or _crc8(head[:at]) != head[at]:
        return None
    return number if head[1] & 1 else number * block, samples


def _coded_length(first: int) -> int:
    """Number of bytes of a number coded as in UTF-8, by its first byte; 0 if it is not valid."""
    ones = 8 - (first ^ 0xFF).bit_length()
    return 1 if ones == 0 else 0 if ones in (1, 8) else ones


def _crc8(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def _crc16_of(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1 ^ (0x8005 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


_CRC16 = tuple(map(_crc16_of, range(256)))
