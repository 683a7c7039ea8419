"""Finding the recordings in an Ogg file: a chain of links, each of which begins with marked pages."""

from __future__ import annotations

from metaser.runtime.audio.formats.part import Part
from metaser.runtime.system.file_bytes import FileBytes

CAPTURE = b"OggS"
PAGE_BYTES = 27
BEGINS, ENDS = 2, 4


def ogg_parts(file: FileBytes) -> list[Part]:
    """The links of an Ogg file, of any codec."""
    starts: list[int] = []
    cut: list[bool] = []
    damaged: list[bool] = []
    numbers: dict[bytes, int] = {}  # the next page of each stream
    in_front = False  # at the start of a link several streams can begin together
    at = file.find(CAPTURE, 0, file.size)
    while 0 <= at < file.size:
        head = file.at(at, PAGE_BYTES + 255)
        if head[:4] != CAPTURE or len(head) < PAGE_BYTES:
            at = file.find(CAPTURE, at + 1, file.size)
            continue
        begins = bool(head[5] & BEGINS)
        if begins and not in_front:
            starts.append(at)
            cut.append(True)
            damaged.append(False)
        stream, number = head[14:18], int.from_bytes(head[18:22], "little")
        if damaged and not begins and number != numbers.get(stream, number):
            damaged[-1] = True
        numbers[stream] = number + 1
        in_front = begins
        end = at + PAGE_BYTES + head[26] + sum(head[PAGE_BYTES : PAGE_BYTES + head[26]])
        is_followed = end == file.size or file.at(end, len(CAPTURE)) == CAPTURE
        within = -1 if is_followed else file.find(CAPTURE, at + 1, min(end, file.size))
        if cut and head[5] & ENDS and within < 0 and end <= file.size:
            cut[-1] = False
        at = end if within < 0 else within  # a truncated page, followed by another file
    if len(starts) == 1 and starts[0] == 0:
        return [Part(is_cut=cut[0], is_damaged=damaged[0])]
    ends = [*starts[1:], file.size][: len(starts)]  # none if no page is marked as the start of a stream
    return [Part(((start, end),), 0.0, *faults) for start, end, *faults in zip(starts, ends, cut, damaged, strict=True)]
