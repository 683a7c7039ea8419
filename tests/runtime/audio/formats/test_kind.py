"""A recording is recognised by its content, whatever its name."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metaser.runtime.audio.formats.kind import format_of, looks_like_audio

TONE = (0.3 * np.sin(np.arange(16_000) / 20)).astype(np.float32)

WRITTEN = [
    ("WAV", "PCM_16", "WAV"), ("RF64", "PCM_16", "RF64"), ("W64", "PCM_16", "W64"), ("FLAC", "PCM_16", "FLAC"),
    ("OGG", "VORBIS", "Ogg Vorbis"), ("OGG", "OPUS", "Ogg Opus"), ("MP3", "MPEG_LAYER_III", "MP3"),
    ("AIFF", "PCM_16", "AIFF"), ("AU", "PCM_16", "AU"), ("CAF", "PCM_16", "CAF"), ("VOC", "PCM_16", "VOC"),
    ("NIST", "PCM_16", "NIST SPHERE"), ("IRCAM", "PCM_16", "IRCAM"), ("PVF", "PCM_16", "PVF"), ("PAF", "PCM_16", "PAF"),
    ("SVX", "PCM_16", "8SVX"), ("WVE", "ALAW", "WVE"),
]  # fmt: skip


def adts(size: int) -> bytes:
    return bytes([0xFF, 0xF1, 0x50, 0x80 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC]).ljust(
        size, b"x"
    )


def mp4(brand: bytes, codec: bytes = b"") -> bytes:
    return b"\0\0\0\x14ftyp" + brand + b"\0\0\2\0" + brand + b"\0\0\0\x08moov" + codec


def written(container: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, TONE[: 8_000 if container == "WVE" else None], 8_000, subtype, format=container)
    return file.getvalue()


@pytest.mark.parametrize(("container", "subtype", "name"), WRITTEN)
def test_what_libsndfile_writes_is_recognised(container: str, subtype: str, name: str) -> None:
    assert format_of(written(container, subtype)) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (mp4(b"M4A ", b"mp4a"), "AAC in MP4"),
        (mp4(b"M4A "), "AAC in MP4"),
        (mp4(b"isom", b"alac"), "ALAC in MP4"),
        (mp4(b"3gp4", b"samr"), "AMR in 3GP"),
        (mp4(b"qt  ", b"mp4a"), "QuickTime"),
        (mp4(b"mp42"), "MP4"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "WebM"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "Matroska"),
        (adts(200) + adts(180), "ADTS AAC"),
        (b"#!AMR\n\x3c", "AMR"),
        (b"#!AMR-WB\n\x3c", "AMR-WB"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "WMA"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"RIFX\0\0\0\0WAVEfmt ", "RIFX"),
        (b"\x0b\x77\0\0\x14\x40".ljust(768, b"\0") + b"\x0b\x77\0\0\x14\x40", "AC-3"),
        (b"".join(b"\x47".ljust(188, b"\xff") for _ in range(4)), "MPEG-TS"),
        (b"".join(b"\xd5".ljust(33, b"\1") for _ in range(10)), "raw GSM"),
    ],
)
def test_what_phones_and_recorders_write_is_recognised(head: bytes, name: str) -> None:
    assert format_of(head) == name


def test_mp3_is_recognised_after_tags_after_padding_and_from_within_a_frame() -> None:
    mp3 = written("MP3", "MPEG_LAYER_III")
    tag = b"ID3\x04\0\0" + bytes([0, 0, 2, 0]) + bytes(256)
    assert format_of(tag + mp3) == "MP3"
    assert format_of(tag + tag + bytes(100) + mp3) == "MP3"
    assert format_of(mp3[50:]) == "MP3"
    assert format_of(tag + written("FLAC", "PCM_16")) == "FLAC"
    assert format_of(b"ID3\x04\0\0\x7f\x7f\x7f\x7f") == "MP3"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"angry clips of Monday\n" * 100,
        b"PK\3\4" + b"\xff\xfb\x90\x64".ljust(417, b"\0") * 9,
        mp4(b"heic"),
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        b"\xff\xfea\0b\0",
        bytes(5_000),
        np.random.default_rng(0).bytes(65_536),
    ],
)
def test_other_files_are_not_taken_for_recordings(head: bytes) -> None:
    assert format_of(head) is None


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "clip.txt").write_bytes(written("WAV", "PCM_16"))
    (tmp_path / "notes.wav").write_text("no audio at all")
    assert looks_like_audio(tmp_path / "clip.txt")
    assert not looks_like_audio(tmp_path / "notes.wav")
