"""Recognising recordings by their first bytes, not by their name."""

from __future__ import annotations

from pathlib import Path

from metaser.runtime.audio.formats.frame_sync import format_by_frames

HEAD_BYTES = 65_536
"""Bytes to examine: enough for a few frames of any codec after a short tag."""

_MAGIC = (
    (b"fLaC", "FLAC"),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", "W64"),
    (b".snd", "AU"),
    (b"dns.", "AU"),
    (b"caff", "CAF"),
    (b"#!AMR-WB", "AMR-WB"),
    (b"#!AMR", "AMR"),
    (b"#!SILK_V3", "SILK"),
    (b"\x02#!SILK_V3", "SILK"),
    (b"#!EVS", "EVS"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "WMA"),
    (b"ADIF", "AAC"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"TTA1", "True Audio"),
    (b"TTA2", "True Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"OFR ", "OptimFROG"),
    (b"tBaK", "TAK"),
    (b"ajkg", "Shorten"),
    (b"DSD \x1c", "DSD"),
    (b"FRM8", "DSD"),
    (b"\x7f\xfe\x80\x01", "DTS"),
    (b"\xfe\x7f\x01\x80", "DTS"),
    (b"DTSHDHDR", "DTS"),
    (b"Creative Voice File\x1a", "VOC"),
    (b"NIST_1A\n", "NIST SPHERE"),
    (b"ALawSoundFile**", "WVE"),
    (b"Extended Instrument:", "XI"),
    (b" paf", "PAF"),
    (b"fap ", "PAF"),
    (b"PVF1\n", "PVF"),
    (b".ra\xfd", "RealAudio"),
    (b".RMF", "RealMedia"),
    (b"FLV\x01", "Flash video"),
    (b"\x00\x00\x01\xba", "MPEG video"),
    (b"\x00\x00\x01\xb3", "MPEG video"),
)
"""First bytes of a file -> its format."""

_NO_AUDIO = (
    b"PK", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x7fELF", b"MZ", b"!<arch>", b"Rar!", b"7z\xbc\xaf",
    b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"SQLite format", b"II*\x00", b"MM\x00*", b"BM", b"Xcur",
    b"MThd", b"\x93NUMPY",
)  # fmt: skip
"""First bytes of files that are not a recording but may contain the bytes of one."""

_NO_SOUND = (
    (b"PK\x03\x04", "a ZIP archive"), (b"Rar!\x1a", "a RAR archive"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b\x08", "compressed by gzip"), (b"BZh", "compressed by bzip2"), (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"), (b"%PDF-", "a PDF"), (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"), (b"GIF8", "a picture"), (b"\x7fELF", "a program"),
    (b"MThd", "MIDI, notes without sound"),
    (b"SQLite format 3", "a database"), (b"\x93NUMPY", "a NumPy array"),
)  # fmt: skip
"""First bytes of content that is piped by mistake; samples rarely begin with them."""

_OGG_CODECS = (
    (b"\x01vorbis", "Ogg Vorbis"),
    (b"OpusHead", "Ogg Opus"),
    (b"\x7fFLAC", "Ogg FLAC"),
    (b"Speex   ", "Ogg Speex"),
    (b"\x80theora", "Ogg video"),
)
_RIFF_FORMS = {b"WAVE": "WAV", b"AVI ": "AVI"}
_FORM_KINDS = {b"AIFF": "AIFF", b"AIFC": "AIFF", b"8SVX": "8SVX", b"16SV": "8SVX"}
_MP4_CODECS = (
    (b"mp4a", "AAC"), (b"alac", "ALAC"), (b"samr", "AMR"), (b"sawb", "AMR-WB"), (b"Opus", "Opus"), (b"fLaC", "FLAC"),
    (b"ac-3", "AC-3"), (b"ec-3", "E-AC-3"),
)  # fmt: skip
_MP4_BRANDS = {b"M4A ": "AAC in MP4", b"M4B ": "AAC in MP4", b"qt  ": "QuickTime", b"F4A ": "AAC in MP4"}
_IMAGE_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx "})
_OLD_QUICKTIME = frozenset({b"moov", b"mdat", b"wide"})
_IRCAM = frozenset({b"\x64\xa3\x01\x00", b"\x64\xa3\x02\x00", b"\x64\xa3\x03\x00", b"\x64\xa3\x04\x00",
                    b"\x00\x01\xa3\x64", b"\x00\x02\xa3\x64", b"\x00\x03\xa3\x64", b"\x00\x04\xa3\x64"})  # fmt: skip


def looks_like_audio(path: Path) -> bool:
    """Whether a file is a recording, or a video, by its first 64 KiB.

    Raises:
        OSError: the file cannot be read.
    """
    return format_of(read_head(path)) is not None


def read_head(path: Path) -> bytes:
    """The first 64 KiB of a file, the input of `format_of`.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def format_of(head: bytes) -> str | None:
    """The format of a recording by its first bytes, such as "FLAC" or "AAC in MP4"; None if it is not a recording."""
    if head[:3] == b"ID3" or head[:8] == b"APETAGEX":
        return _tagged(head)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    return (
        _riff(head)
        or _ogg(head)
        or _mp4(head)
        or _matroska(head)
        or (_FORM_KINDS.get(head[8:12]) if head[:4] == b"FORM" else None)
        or ("IRCAM" if head[:4] in _IRCAM else None)
        or (None if head.startswith(_NO_AUDIO) or head[257:262] == b"ustar" else format_by_frames(head))
    )


def named_without_sound(head: bytes) -> str | None:
    """The kind of a file without sound by its first bytes, such as "a PDF"; None if that is not certain."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a picture"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return next((name for magic, name in _NO_SOUND if head.startswith(magic)), None)


def _riff(head: bytes) -> str | None:
    if head[:4] in (b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "RF64"
    if head[:4] == b"RIFX" and head[8:12] == b"WAVE":
        return "RIFX"
    return _RIFF_FORMS.get(head[8:12]) if head[:4] == b"RIFF" else None


def _ogg(head: bytes) -> str | None:
    if head[:4] != b"OggS" or len(head) < 28:
        return None
    packet = head[27 + head[26] :]  # after the page's table of segments
    return next((name for magic, name in _OGG_CODECS if packet.startswith(magic)), "Ogg")


def _mp4(head: bytes) -> str | None:
    kind, brand = head[4:8], head[8:12]
    if kind in _OLD_QUICKTIME:
        return "QuickTime"
    if kind != b"ftyp" or brand in _IMAGE_BRANDS:
        return None
    box = "3GP" if brand[:3] in (b"3gp", b"3g2") else "MP4"
    codec = next((name for tag, name in _MP4_CODECS if tag in head[12:]), None)
    return f"{codec} in {box}" if codec and brand != b"qt  " else _MP4_BRANDS.get(brand, box)


def _matroska(head: bytes) -> str | None:
    if head[:4] != b"\x1a\x45\xdf\xa3":
        return None
    return "WebM" if b"webm" in head[:64] else "Matroska"


def _tagged(head: bytes) -> str:
    """The format after the tags; MP3 if the tags are longer than the head, as they are with a cover picture."""
    start = 0
    while True:
        if head[start : start + 3] == b"ID3" and len(head) >= start + 10:
            has_footer = bool(head[start + 5] & 0x10)
            size = 0
            for byte in head[start + 6 : start + 10]:
                size = size << 7 | byte & 0x7F
            start += 10 + size + 10 * has_footer
        elif head[start : start + 8] == b"APETAGEX" and len(head) >= start + 32:
            start += 32 + int.from_bytes(head[start + 12 : start + 16], "little")
        else:
            break
    rest = head[start:].lstrip(b"\0")
    return (format_of(rest) if rest else None) or "MP3"
