"""Recordings of every kind: all of their audio, nothing else, and one line per fault."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime import AudioError, NotFoundError, load_audio
from metaser.runtime.audio.file import AudioFile
from metaser.runtime.audio.formats.media import _samples, has_media
from metaser.runtime.audio.load import read_audio, read_blocks
from metaser.runtime.errors import InputWarning
from tests.runtime.audio.recordings import RATE_HZ, Samples, by_ffmpeg, decoded_by_ffmpeg_s, encoded, mp3, voice

needs_media = pytest.mark.skipif(not has_media(), reason="PyAV, the extra `media`, is not installed")
TWO_S = voice(2.0)
LOSSLESS = {
    "WAV": ("WAV", "PCM_16"), "RF64": ("RF64", "PCM_16"), "W64": ("W64", "PCM_16"), "AIFF": ("AIFF", "PCM_16"),
    "AU": ("AU", "PCM_16"), "CAF": ("CAF", "PCM_16"), "FLAC": ("FLAC", "PCM_16"),
}  # fmt: skip
LOSSY = {"Ogg Vorbis": ("OGG", "VORBIS"), "Ogg Opus": ("OGG", "OPUS")}
TAGS = {
    "nothing": b"",
    "an ID3v1 tag": b"TAG".ljust(128, b"0"),
    "padding": bytes(40_000),
    "an APE tag with a picture": b"APETAGEX" + np.random.default_rng(1).bytes(20_000),
    "an ID3v2 tag": b"ID3\x03\x00\x00\x00\x00\x07\x76" + np.random.default_rng(2).bytes(1014),
}


def read(content: bytes, folder: Path, name: str = "clip.wav") -> tuple[Samples, AudioFile]:
    (folder / name).write_bytes(content)
    file = AudioFile(folder / name)
    blocks = list(file.blocks())
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), file


def stated(file: AudioFile) -> tuple[float, float]:
    """The seconds that were read and that are missing, as a recording's one notice states them."""
    (notice,) = file.notices
    assert notice.startswith("it is cut off: ")
    seconds, missing_s = (float(word) for word in notice.split() if word[0].isdigit())
    return seconds, missing_s


def without_length(content: bytes, chunk: bytes, at: int, size: int) -> bytes:
    """A file whose recorder never wrote the length of its data."""
    place = content.index(chunk) + at
    return content[:place] + bytes(size) + content[place + size :]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("with_length", [True, False], ids=["length stated", "no length"])
def test_mp3_is_as_long_as_its_frames_whatever_follows_them(tmp_path: Path, tag: str, with_length: bool) -> None:
    content = mp3(with_length=with_length) + TAGS[tag]
    samples, file = read(content, tmp_path)
    assert len(samples) / RATE_HZ == pytest.approx(2.0, abs=0.11)
    assert file.duration_s() == len(samples) / RATE_HZ
    assert np.abs(samples[-1600:]).max() < 1
    again, _ = read(content, tmp_path)
    np.testing.assert_array_equal(samples, again)


@needs_media
@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
@pytest.mark.parametrize("with_length", [True, False], ids=["length stated", "no length"])
def test_mp3_is_within_a_tenth_of_a_second_of_what_ffmpeg_decodes(
    tmp_path: Path, tag: str, rate_hz: int, with_length: bool
) -> None:
    content = mp3(voice(3.0, rate_hz), with_length=with_length, rate_hz=rate_hz) + TAGS[tag]
    samples, file = read(content, tmp_path)
    assert len(samples) / file.rate_hz == pytest.approx(decoded_by_ffmpeg_s(content), abs=0.1)


def test_mp3_whose_guessed_length_is_too_short_is_read_to_its_end(tmp_path: Path) -> None:
    loud = np.random.default_rng(0).uniform(-0.9, 0.9, RATE_HZ).astype(np.float32)
    content = mp3(np.concatenate([loud, voice(6.0) / 50]), with_length=False)  # its first frames are the largest
    samples, _ = read(content, tmp_path)
    assert len(samples) / RATE_HZ == pytest.approx(7.0, abs=0.1)


def test_mp3_of_which_frames_are_missing_says_how_much(tmp_path: Path) -> None:
    content = mp3(voice(4.0))
    samples, file = read(content[: len(content) // 2], tmp_path)
    assert len(samples) < 3 * RATE_HZ
    seconds, missing_s = stated(file)
    assert seconds == pytest.approx(len(samples) / RATE_HZ, abs=0.06)
    assert seconds + missing_s == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_recordings_glued_together_are_all_read(tmp_path: Path, kind: str) -> None:
    first, second = TWO_S, voice(1.0, seed=5)
    parts = [encoded(*(LOSSLESS | LOSSY)[kind], samples) for samples in (first, second)]
    samples, file = read(parts[0] + parts[1], tmp_path)
    assert len(samples) == len(first) + len(second)
    assert file.duration_s() == 3.0
    if kind in LOSSLESS:
        np.testing.assert_allclose(samples, np.concatenate([first, second]), atol=1e-4)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_mp3s_glued_together_are_all_read_also_with_another_rate(tmp_path: Path, rate_hz: int) -> None:
    content = mp3(TWO_S) + mp3(voice(1.0, rate_hz), rate_hz=rate_hz)
    samples, file = read(content, tmp_path)
    assert file.rate_hz == RATE_HZ
    assert len(samples) / RATE_HZ == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("kind", LOSSLESS)
@settings(max_examples=12, deadline=None)
@given(share=st.floats(0, 1))
def test_a_recording_cut_anywhere_gives_its_beginning_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, kind: str, share: float
) -> None:
    content = encoded(*LOSSLESS[kind], TWO_S)
    try:
        samples, file = read(content[: int(share * len(content))], tmp_path_factory.mktemp("cut"))
    except AudioError:
        return
    np.testing.assert_allclose(samples, TWO_S[: len(samples)], atol=1e-4)
    missing_s = (len(TWO_S) - len(samples)) / RATE_HZ
    if len(samples) and missing_s > 0.1:
        piece = missing_s / len(samples)  # the missing part is counted in bytes, and the last sample may be cut too
        assert stated(file) == pytest.approx((2 - missing_s, missing_s), abs=0.06 + piece)
    elif len(samples):
        assert not file.notices


@pytest.mark.parametrize("kind", LOSSY)
def test_an_ogg_file_that_is_cut_says_so(tmp_path: Path, kind: str) -> None:
    content = encoded(*LOSSY[kind], voice(8.0))
    samples, file = read(content[: len(content) * 3 // 4], tmp_path)
    assert len(samples) < 7.5 * RATE_HZ
    assert file.notices == [f"it is cut off, its end is missing: {len(samples) / file.rate_hz:.1f} s were read"]
    assert read(content, tmp_path)[1].notices == []


@pytest.mark.parametrize(
    ("kind", "chunk", "at", "size"),
    [("WAV", b"data", 4, 4), ("RF64", b"ds64", 16, 8), ("AIFF", b"SSND", 4, 4), ("CAF", b"data", 4, 8)],
)
def test_a_recording_whose_recorder_was_killed_is_read_whole(
    tmp_path: Path, kind: str, chunk: bytes, at: int, size: int
) -> None:
    content = without_length(encoded(*LOSSLESS[kind], TWO_S), chunk, at, size)
    samples, file = read(content, tmp_path)
    np.testing.assert_allclose(samples[: len(TWO_S)], TWO_S, atol=1e-4)
    assert len(samples) - len(TWO_S) < 5
    assert file.notices == ["its header states no length, as if the recorder was stopped: all 2.0 s were read"]


def test_a_big_endian_wav_whose_recorder_was_killed_is_read_whole(tmp_path: Path) -> None:
    content = encoded("WAV", "PCM_16", TWO_S, endian="BIG")
    assert content[:4] == b"RIFX"
    samples, _ = read(without_length(content, b"data", 4, 4), tmp_path)
    np.testing.assert_allclose(samples[: len(TWO_S)], TWO_S, atol=1e-4)


def test_a_flac_that_was_written_to_a_pipe_is_read_whole(tmp_path: Path) -> None:
    content = bytearray(encoded("FLAC", "PCM_16", TWO_S))
    content[21] &= 0xF0  # the number of samples, 36 bits of STREAMINFO
    content[22:26] = bytes(4)
    samples, file = read(bytes(content), tmp_path)
    np.testing.assert_allclose(samples, TWO_S, atol=1e-4)
    assert file.notices == []


def test_an_empty_wav_with_notes_behind_its_samples_is_empty(tmp_path: Path) -> None:
    empty = encoded("WAV", "PCM_16", np.zeros(0, np.float32))
    (tmp_path / "a.wav").write_bytes(empty + b"LIST" + struct.pack("<I", 12) + b"INFOISFT\0\0\0\0")
    with pytest.raises(AudioError, match="holds no samples"):
        load_audio(tmp_path / "a.wav")


def test_gsm_which_cannot_be_sought_in_is_read(tmp_path: Path) -> None:
    samples, file = read(encoded("WAV", "GSM610", voice(2.0, 8000), 8000), tmp_path)
    assert len(samples) == pytest.approx(16_000, abs=320)
    assert file.notices == []


def test_what_is_wrong_is_warned_of_in_the_library_and_returned_by_read_audio(tmp_path: Path) -> None:
    content = encoded("WAV", "PCM_16", TWO_S)
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    words = "it is cut off: 1.0 s were read and 1.0 s are missing"
    with pytest.warns(InputWarning, match=f"cut.wav: {words}"):
        assert len(load_audio(tmp_path / "cut.wav")) == pytest.approx(RATE_HZ, abs=30)
    with pytest.warns(InputWarning, match=words):
        assert sum(len(block) for block, _ in read_blocks(tmp_path / "cut.wav")) == pytest.approx(RATE_HZ, abs=30)
    assert read_audio(tmp_path / "cut.wav").notices == (words,)


MEDIA = {
    "AAC in MP4": ("ipod", "aac"), "ADTS AAC": ("adts", "aac"), "WebM": ("webm", "libopus"), "ALAC": ("ipod", "alac"),
    "Matroska": ("matroska", "libopus"), "WMA": ("asf", "wmav2"), "AC-3": ("ac3", "ac3"),
}  # fmt: skip


@needs_media
@pytest.mark.parametrize("kind", MEDIA)
def test_what_phones_and_browsers_write_is_read_with_the_extra_and_named_without(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, codec = MEDIA[kind]
    rate_hz = 48_000 if kind in ("WebM", "Matroska", "AC-3") else RATE_HZ
    content = by_ffmpeg(container, codec, voice(2.0, rate_hz), rate_hz)
    samples, file = read(content, tmp_path, "clip.wav")
    assert len(samples) / file.rate_hz == pytest.approx(2.0, abs=0.15)  # codecs add up to two frames
    assert 0.3 < np.abs(samples).max() < 0.9
    monkeypatch.setitem(sys.modules, "av", None)
    named = "MP4" if kind == "ALAC" else kind
    with pytest.raises(AudioError, match=rf"clip.wav is .*{named}: .*pip install 'metaser\[media\]', or convert it"):
        read(content, tmp_path)


@needs_media
def test_the_sound_track_of_a_video_is_read(tmp_path: Path) -> None:
    samples, file = read(by_ffmpeg("mp4", "aac", TWO_S, video=True), tmp_path, "film.mp4")
    assert len(samples) / file.rate_hz == pytest.approx(2.0, abs=0.15)
    assert file.duration_s() == pytest.approx(2.0, abs=0.15)


@needs_media
def test_a_webm_that_is_cut_says_how_much_is_missing(tmp_path: Path) -> None:
    content = by_ffmpeg("webm", "libopus", voice(6.0, 48_000), 48_000)
    samples, file = read(content[: len(content) // 2], tmp_path)
    (notice,) = file.notices
    assert notice.startswith(f"it is cut off: {len(samples) / file.rate_hz:.1f} s were read and ")


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\0\0\0\x1cftypM4A \0\0\0\0mp4a", "AAC in MP4"), (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82webm", "WebM")],
)
def test_a_suffix_that_lies_is_not_believed(
    tmp_path: Path, head: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=f"clip.wav is {kind}: "):
        read(head.ljust(4000, b"\0"), tmp_path)


def test_frames_that_decode_to_noise_are_damage(tmp_path: Path) -> None:
    content = bytearray(mp3(voice(4.0)))
    rng = np.random.default_rng(0)
    for at in rng.integers(500, len(content), 60):
        content[at] = rng.integers(256)
    with pytest.raises(AudioError, match=r"is MP3 and is damaged \(it decodes to noise\): record or export it again"):
        read(bytes(content), tmp_path)


def test_libmpg123_and_numpy_write_nothing_about_damaged_frames(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(mp3(voice(4.0)))
    rng = np.random.default_rng(0)
    for at in rng.integers(500, len(content), 60):
        content[at] = rng.integers(256)
    for damaged in (bytes(content), bytes(content[: len(content) // 2]), bytes(content) * 2):
        with suppress(AudioError):
            read(damaged, tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is an empty file"),
        (lambda path: path.write_bytes(b"RIFF"), "cannot be read as audio"),
        (lambda path: path.symlink_to(path.parent / "loop2") or (path.parent / "loop2").symlink_to(path), "cannot be"),
    ],
)
def test_what_is_no_recording_is_named(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    make(tmp_path / "clip.wav")
    with pytest.raises(AudioError, match=words):
        load_audio(tmp_path / "clip.wav")


@pytest.mark.parametrize("name", ["nowhere.wav", "clip.wav/inside.wav", "zero\0byte.wav"])
def test_a_path_that_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "clip.wav").write_bytes(encoded("WAV", "PCM_16"))
    with pytest.raises(NotFoundError):
        load_audio(tmp_path / name)


@needs_media
@pytest.mark.parametrize("layout", ["5.1", "7.1"])
def test_the_sound_of_many_channels_is_read(tmp_path: Path, layout: str) -> None:
    content = by_ffmpeg("mp4", "aac", TWO_S, layout=layout)
    samples, file = read(content, tmp_path, "clip.m4a")
    assert len(samples) / file.rate_hz == pytest.approx(decoded_by_ffmpeg_s(content))
    assert float(np.abs(samples).max()) > 0.2


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_sound_of_a_damaged_ogg_is_not_repeated(tmp_path: Path, subtype: str) -> None:
    content = encoded("OGG", subtype, voice(6.0))
    middle = content.index(b"OggS", len(content) // 3)
    end = content.index(b"OggS", middle + 1)
    samples, file = read(content[:middle] + content[end:], tmp_path, "clip.ogg")
    assert 1.0 < len(samples) / file.rate_hz < 5.5
    if has_media():
        decoded_s = decoded_by_ffmpeg_s(content[:middle] + content[end:])
        assert len(samples) / file.rate_hz == pytest.approx(decoded_s, abs=0.1)
    assert file.notices[0].startswith("it is damaged: ")
    assert file.notices[0].endswith(" s cannot be decoded")


def test_a_recording_behind_an_ogg_that_was_cut_is_read_whole(tmp_path: Path) -> None:
    content = encoded("OGG", "VORBIS", voice(3.0))
    samples, file = read(content[:-300] + content, tmp_path, "clip.ogg")
    assert len(samples) / file.rate_hz > 4.9
    assert file.notices == [f"it is cut off, its end is missing: {len(samples) / file.rate_hz:.1f} s were read"]


def test_bw64_is_read_as_rf64(tmp_path: Path) -> None:
    content = encoded("RF64", "PCM_16", TWO_S)
    samples, file = read(b"BW64" + content[4:], tmp_path)
    assert (len(samples), file.notices) == (len(TWO_S), [])
    assert np.array_equal(samples, read(content, tmp_path, "other.wav")[0])


@pytest.mark.parametrize("between", [b"", b"LIST\x05\0\0\0INFOa\0"])
def test_all_data_chunks_of_a_wav_are_read(tmp_path: Path, between: bytes) -> None:
    content = encoded("WAV", "PCM_16", TWO_S)
    data = content[44:]
    chunks = [b"data" + struct.pack("<I", len(part)) + part for part in (data[:20_000], data[20_000:])]
    samples, file = read(content[:36] + between.join(chunks), tmp_path)
    assert file.notices == []
    assert np.array_equal(samples, read(content, tmp_path, "other.wav")[0])


@pytest.mark.parametrize("name", ["clip.mp3", "clip.wav"])
def test_what_is_no_recording_is_refused_without_a_decoders_words(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AudioError, match=rf"{name} cannot be read as audio \(Format not recognised\)"):
        read(b"no sound " * 20_000, tmp_path, name)
    assert capfd.readouterr() == ("", "")


def test_another_codec_in_a_wav_is_named_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    content = bytearray(encoded("WAV", "PCM_16", TWO_S))
    content[20:22] = b"\x61\x01"  # WMA
    with pytest.raises(AudioError, match=r"is WAV with an unsupported codec: install the decoder, pip install"):
        read(bytes(content), tmp_path)


def test_an_ogg_file_without_a_first_page_is_refused(tmp_path: Path) -> None:
    content = bytearray(encoded("OGG", "VORBIS"))
    content[5] &= ~2  # no page says that a stream begins with it
    (tmp_path / "clip.ogg").write_bytes(content)
    assert AudioFile(tmp_path / "clip.ogg").duration_s() >= 0
    with suppress(AudioError):
        assert len(read_audio(tmp_path / "clip.ogg").waveform) > 0


def test_a_wav_whose_chunk_ends_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    content = encoded("CAF", "PCM_16")
    at = content.index(b"desc") + 4
    (tmp_path / "clip.caf").write_bytes(content[:at] + b"\xff" * 8 + content[at + 8 :])
    with pytest.raises(AudioError, match="is CAF and is damaged"):
        read_audio(tmp_path / "clip.caf")


@pytest.mark.parametrize("pattern", [0x7E37E43C8800759C, 0x7FF0000000000001], ids=["1e300", "a signalling NaN"])
def test_samples_that_float32_cannot_hold_give_no_warning(pattern: int) -> None:
    av = pytest.importorskip("av")
    samples = np.full((1, 8), pattern, np.uint64).view(np.float64)
    frame = av.AudioFrame.from_ndarray(samples, format="dbl", layout="mono")
    assert not np.isfinite(_samples(frame)).any()
