"""Recognising codecs that have no file header, by consecutive frames at their stated length."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from metaser.runtime.audio.formats.mpeg_frame import HEADER_BYTES, mpeg_frame

Frame: TypeAlias = "tuple[int, int]"
"""(bytes to the next frame, the header fields that are equal in all frames)"""

_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_RATES_HZ = (48000, 44100, 32000)
_AC3_NEWEST = 10
"""Bit stream identifiers up to this are AC-3, higher ones E-AC-3."""

_TS_PACKETS = ((188, 0), (192, 4))
"""Bytes per packet of a transport stream, and the offset of its sync byte."""

_GSM_FRAME_BYTES, _GSM_FRAMES = 33, 10
_FRAMES, _FRAMES_AFTER_JUNK = 2, 5
"""More frames are needed if something precedes them: other files hold bytes that look like a header or two."""


def format_by_frames(head: bytes) -> str | None:
    """The codec whose frames a file's first bytes hold, or None; MPEG audio may begin within a frame."""
    for size, sync in _TS_PACKETS:
        if len(head) > 3 * size and all(head[size * packet + sync] == 0x47 for packet in range(3)):
            return "MPEG-TS"
    for frame, name in ((_adts, "ADTS AAC"), (_latm, "LATM AAC"), (_ac3, "AC-3")):
        if _follow(head, 0, frame, _FRAMES):
            return name
    gsm = head[: _GSM_FRAME_BYTES * _GSM_FRAMES : _GSM_FRAME_BYTES]
    if len(gsm) == _GSM_FRAMES and all(byte >> 4 == 0xD for byte in gsm):
        return "raw GSM"
    start = head.find(b"\xff")
    while start >= 0:
        if _follow(head, start, _mpeg, _FRAMES_AFTER_JUNK if start else _FRAMES):
            first = mpeg_frame(head[start : start + HEADER_BYTES])
            assert first is not None
            return f"MP{first.layer}"
        start = head.find(b"\xff", start + 1)
    return None


def _follow(head: bytes, at: int, read: Callable[[bytes, int], Frame | None], count: int) -> bool:
    """Whether `count` frames of one kind follow each other from byte `at` on."""
    kind = None
    for _ in range(count):
        frame = read(head, at)
        if frame is None or kind not in (None, frame[1]):
            return False
        at, kind = at + frame[0], frame[1]
    return True


def _mpeg(head: bytes, at: int) -> Frame | None:
    frame = mpeg_frame(head[at : at + HEADER_BYTES])
    return None if frame is None else (frame.size, frame.kind)


def _adts(head: bytes, at: int) -> Frame | None:
    if len(head) < at + 7 or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0 or head[at + 2] >> 2 & 15 > 12:
        return None
    size = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
    return (size, head[at + 1] << 8 | head[at + 2] & 0xFC) if size >= 7 else None


def _latm(head: bytes, at: int) -> Frame | None:
    if len(head) < at + 3 or head[at] != 0x56 or head[at + 1] & 0xE0 != 0xE0:
        return None
    return ((head[at + 1] & 0x1F) << 8 | head[at + 2]) + 3, 0


def _ac3(head: bytes, at: int) -> Frame | None:
    if len(head) < at + 6 or head[at : at + 2] != b"\x0b\x77":
        return None
    if head[at + 5] >> 3 > _AC3_NEWEST:
        return 2 * (((head[at + 2] & 7) << 8 | head[at + 3]) + 1), 1
    rate, code = head[at + 4] >> 6, head[at + 4] & 0x3F
    if rate == 3 or code >= 2 * len(_AC3_KBITS):
        return None
    rate_hz = _AC3_RATES_HZ[rate]
    words = 96_000 * _AC3_KBITS[code >> 1] // rate_hz + (code & 1 if rate_hz == 44_100 else 0)
    return 2 * words, 0
