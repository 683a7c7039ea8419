"""Finding the recordings in an MPEG audio file (MP3), frame by frame: tags, pictures or damage may lie between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from metaser.runtime.audio.formats.mpeg_frame import HEADER_BYTES, MpegFrame, mpeg_frame
from metaser.runtime.audio.formats.part import Part
from metaser.runtime.system.file_bytes import FileBytes, Piece

SURE = 3
"""Consecutive frames that confirm a match when searching; other bytes sometimes look like a header."""

ID3_BYTES = 10
HAS_FRAMES, HAS_BYTES = 1, 2
SIZE_TOLERANCE = 0.01
"""From this value on libmpg123 writes to standard error."""


@dataclass
class _Run:
    """Frames of one kind, and the frame before them that states their number."""

    frame: MpegFrame
    header: bytes
    info: tuple[int, int] | None = None
    stated_frames: int = 0
    stated_bytes: int = 0
    frames: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        self.frames += 1
        if self.ranges and self.ranges[-1][1] == start:
            self.ranges[-1] = (self.ranges[-1][0], end)
        else:
            self.ranges.append((start, end))

    def part(self, file_size: int, *, is_first: bool) -> Part:
        """The part; as in FFmpeg, the encoder's delay is removed only from the first."""
        size = sum(end - start for start, end in self.ranges) + (self.info[1] - self.info[0] if self.info else 0)
        is_right = self.stated_frames == self.frames and (
            not self.stated_bytes or abs(self.stated_bytes - size) < SIZE_TOLERANCE * size
        )
        front: tuple[Piece, ...] = ()
        if self.info and is_right and is_first:
            if len(self.ranges) == 1 and self.ranges[0] == (self.info[1], file_size):
                return Part()
            front = (self.info,)
        elif self.frame.layer == 3:
            front = (_info_frame(self.header, self.frames),)
        missing = max(0, self.stated_frames - self.frames) / self.frames
        return Part((*front, *self.ranges), missing)


def mpeg_parts(file: FileBytes) -> list[Part]:
    """The recordings in a file of MPEG audio; a new one begins with each Info frame and each change of format."""
    runs: list[_Run] = []
    at = _next_frame(file, 0)
    while at is not None:
        header = file.at(at, HEADER_BYTES)
        frame = mpeg_frame(header)
        run = runs[-1] if runs else None
        is_known = run and frame and (frame.kind, frame.channels) == (run.frame.kind, run.frame.channels)
        if frame is None or not (is_known or _is_sure(file, at)):
            at = _next_frame(file, at)
            continue
        if at + frame.size > file.size:
            break
        info = _read_info(file, at, frame)
        if run is None or not is_known or info:
            run = _Run(frame, header)
            runs.append(run)
        if info:
            run.info, (run.stated_frames, run.stated_bytes) = (at, at + frame.size), info
        else:
            run.add(at, at + frame.size)
        at += frame.size
    return [run.part(file.size, is_first=number == 0) for number, run in enumerate(runs) if run.frames]


def _next_frame(file: FileBytes, start: int) -> int | None:
    """Offset of the next frame that others follow; tags are skipped, as pictures can look like frames."""
    while start < file.size:
        start = _after_tag(file, start)
        found = file.find(b"\xff", start, file.size)
        tag = file.find(b"ID3", start, file.size if found < 0 else found)
        if tag >= 0 and _after_tag(file, tag) > tag:
            start = _after_tag(file, tag)
            continue
        if found < 0 or _is_sure(file, found):
            return None if found < 0 else found
        start = found + 1
    return None


def _after_tag(file: FileBytes, start: int) -> int:
    """Offset after an ID3v2 tag, or `start` if there is none."""
    head = file.at(start, ID3_BYTES)
    if len(head) < ID3_BYTES or head[:3] != b"ID3" or head[3] == 0xFF or any(byte & 0x80 for byte in head[6:10]):
        return start
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return start + ID3_BYTES + size + (ID3_BYTES if head[5] & 0x10 else 0)


def _is_sure(file: FileBytes, at: int) -> bool:
    """Whether frames of one kind follow each other from `at` on, some of them or up to the file's end."""
    kind = None
    for count in range(SURE):
        frame = mpeg_frame(file.at(at, HEADER_BYTES))
        if frame is None or kind not in (None, frame.kind):
            return False
        at, kind = at + frame.size, frame.kind
        if at >= file.size:
            return count > 0 or at == file.size
    return True


def _read_info(file: FileBytes, at: int, frame: MpegFrame) -> tuple[int, int] | None:
    """(frames, bytes) as stated by an Info, Xing or VBRI frame, 0 if not stated; None for any other frame."""
    if frame.layer != 3:
        return None
    tag = file.at(at + frame.side_bytes, 16)
    if tag[:4] in (b"Info", b"Xing") and len(tag) == 16:
        flags = int.from_bytes(tag[4:8], "big")
        frames = int.from_bytes(tag[8:12], "big") if flags & HAS_FRAMES else 0
        size = tag[12:16] if flags & HAS_FRAMES else tag[8:12]
        return frames, int.from_bytes(size, "big") if flags & HAS_BYTES else 0
    vbri = file.at(at + HEADER_BYTES + 32, 18)
    return (int.from_bytes(vbri[14:18], "big"), 0) if vbri[:4] == b"VBRI" else None


def _info_frame(header: bytes, frames: int) -> bytes:
    """A frame in the format of this header that states to libmpg123 how many frames follow."""
    plain = bytes([header[0], header[1] | 1, 0xE0 | header[2] & 0x0C, header[3]])  # the highest bit rate, no checksum
    first = mpeg_frame(plain)
    assert first is not None
    tag = b"Info" + HAS_FRAMES.to_bytes(4, "big") + frames.to_bytes(4, "big")
    return (plain + bytes(first.side_bytes - HEADER_BYTES) + tag).ljust(first.size, b"\0")
