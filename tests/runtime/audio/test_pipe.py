"""Sound on a real pipe."""

import fcntl
import gzip
import io
import os
import sys
import termios
import threading
import time

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime import AudioError, InputError
from metaser.runtime.audio.formats.media import has_media
from metaser.runtime.audio.formats.pcm import FORMATS, RawFormat
from metaser.runtime.audio.pipe import LivePipe, PipedAudio
from tests.runtime.audio.recordings import by_ffmpeg, encoded, voice

SINE = (0.5 * np.sin(np.arange(5000) / 9)).astype(np.float32)


def pipe(*parts: bytes) -> int:
    """The reading end of a pipe; each part is written when the one before was read."""
    ours, theirs = os.pipe()

    def feed() -> None:
        with os.fdopen(theirs, "wb", buffering=0) as end:
            for part in parts:
                while fcntl.ioctl(theirs, termios.FIONREAD, bytes(4)) != bytes(4):
                    time.sleep(1e-4)
                end.write(part)

    threading.Thread(target=feed, daemon=True).start()
    return ours


def heard(source: PipedAudio | LivePipe) -> npt.NDArray[np.float32]:
    return np.concatenate([chunk.samples for chunk in source])


def wav(subtype: str, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.stack([SINE] * channels, axis=1), rate_hz, subtype, format="WAV")
    return content.getvalue()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_is_read_as_libsndfile_reads_it(subtype: str, channels: int) -> None:
    content = wav(subtype, channels=channels)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    np.testing.assert_allclose(heard(PipedAudio(pipe(content))), expected.mean(axis=1), atol=1e-7)


def test_raw_samples_are_read_as_described_and_half_a_sample_is_left_out() -> None:
    content = (SINE * 32_768).astype("<i2").tobytes()
    source = PipedAudio(pipe(content + b"\x01"), RawFormat())
    np.testing.assert_allclose(heard(source), SINE, atol=1 / 32_768)
    assert source.notices == ["it ended within a sample: its last 1 bytes were left out"]


def test_a_header_without_a_length_is_read_to_the_end() -> None:
    content = wav("PCM_16")
    at = content.index(b"data") + 4
    endless = content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]
    assert len(heard(PipedAudio(pipe(endless)))) == len(SINE)


LIST = b"LIST\x05\0\0\0INFOa\0"


def test_chunks_behind_samples_are_no_end() -> None:
    content = wav("PCM_16")
    data = content[36:]  # with its header
    for piped in (content + LIST + content, content + LIST + data, content + data + LIST):
        assert len(heard(PipedAudio(pipe(piped)))) == 2 * len(SINE)
    assert len(heard(PipedAudio(pipe(content + LIST)))) == len(SINE)
    assert len(heard(PipedAudio(pipe(content + LIST[:10])))) == len(SINE)


def test_bw64_on_a_pipe_is_read() -> None:
    assert len(heard(PipedAudio(pipe(b"BW64" + wav("PCM_16")[4:])))) == len(SINE)


def test_recordings_one_after_the_other_go_on_or_are_refused_where_the_format_changes() -> None:
    assert len(heard(PipedAudio(pipe(wav("PCM_16") * 2)))) == 2 * len(SINE)
    with pytest.raises(AudioError, match="changes from 16000 Hz, 1 channel to 8000 Hz"):
        heard(PipedAudio(pipe(wav("PCM_16") + wav("PCM_16", 8000))))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "holds no samples"), (b"RIFF", "ends within its WAV header"), (b"RIFF....WAVEfmt ", "ends within its WAV")],
)
def test_what_cannot_be_used_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        heard(PipedAudio(pipe(content)))


def test_live_piped_sound_that_is_read_in_time_is_all_heard() -> None:
    np.testing.assert_allclose(heard(LivePipe(PipedAudio(pipe(wav("PCM_16"))), ring_s=10)), SINE, atol=1e-4)


def test_live_piped_sound_loses_the_oldest_of_what_does_not_fit_and_counts_it() -> None:
    ours, theirs = os.pipe()
    source = iter(LivePipe(PipedAudio(ours, RawFormat(sample_format="f32le")), ring_s=0.1))  # 1600 samples
    ramp = np.arange(1, 50_001, dtype="<f4") / 50_000
    os.write(theirs, ramp[:100].tobytes())
    chunks = [next(source)]
    while not len(chunks[-1].samples):  # with the first that holds something the thread begins
        chunks.append(next(source))
    for part in np.array_split(ramp[100:], 50):
        os.write(theirs, part.tobytes())
    while fcntl.ioctl(theirs, termios.FIONREAD, bytes(4)) != bytes(4):
        time.sleep(0.01)
    os.close(theirs)
    time.sleep(0.2)
    chunks += list(source)
    samples = np.concatenate([chunk.samples for chunk in chunks])
    lost = samples == 0
    assert max(len(chunk.samples) for chunk in chunks) <= 3200
    assert len(samples) == len(ramp)
    np.testing.assert_array_equal(samples[~lost], ramp[~lost])
    assert lost.sum() == 50_000 - 1600 - 100
    assert chunks[-1].dropped_ms == pytest.approx(1000 * lost.sum() / 16_000)


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 6000), max_size=8),
    sample_format=st.sampled_from(sorted(FORMATS)),
    channels=st.integers(1, 3),
)
def test_any_cutting_of_the_bytes_gives_the_same_samples(cuts: list[int], sample_format: str, channels: int) -> None:
    form = RawFormat(16_000, channels, sample_format)
    content = np.random.default_rng(0).bytes(500 * form.frame_bytes)
    if sample_format.startswith("f"):
        order, size = "<" if sample_format.endswith("le") else ">", form.frame_bytes // channels
        content = np.random.default_rng(0).uniform(-1, 1, 500 * channels).astype(f"{order}f{size}").tobytes()
    at = sorted(cut % len(content) for cut in cuts)
    parts = [content[begin:end] for begin, end in zip([0, *at], [*at, len(content)], strict=True)]
    np.testing.assert_array_equal(heard(PipedAudio(pipe(*parts), form)), heard(PipedAudio(pipe(content), form)))


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_any_cutting_of_a_wav_gives_the_same_samples(cuts: list[int]) -> None:
    content = wav("PCM_16")
    at = sorted(cut % len(content) for cut in cuts)
    parts = [content[begin:end] for begin, end in zip([0, *at], [*at, len(content)], strict=True)]
    np.testing.assert_array_equal(heard(PipedAudio(pipe(*parts))), heard(PipedAudio(pipe(content))))


def test_what_raw_bytes_mean_by_hand() -> None:
    s16, s24, f32 = RawFormat(), RawFormat(sample_format="s24le"), RawFormat(channels=2, sample_format="f32le")
    u8, s16_big, s24_big = (RawFormat(sample_format=name) for name in ("u8", "s16be", "s24be"))
    np.testing.assert_array_equal(s16.decode(b"\x00\x80\x00\x40\xff\x7f"), [[-1], [0.5], [np.float32(32_767 / 32_768)]])
    np.testing.assert_array_equal(s16_big.decode(b"\x80\x00\x40\x00"), [[-1], [0.5]])
    np.testing.assert_array_equal(s24.decode(b"\x00\x00\x80\x00\x00\x20"), [[-1], [0.25]])
    np.testing.assert_array_equal(s24_big.decode(b"\x80\x00\x00\x20\x00\x00"), [[-1], [0.25]])
    np.testing.assert_array_equal(u8.decode(b"\x00\x80\xc0"), [[-1], [0], [0.5]])
    np.testing.assert_array_equal(f32.decode(np.array([0.5, 0.25, -1, 1], "<f4").tobytes()), [[0.5, 0.25], [-1, 1]])


def test_what_needs_the_extra_is_named_before_the_pipe_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    ours, theirs = os.pipe()
    os.write(theirs, b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82webm".ljust(5000, b"\0"))
    with pytest.raises(AudioError, match=r"standard input is WebM: .*metaser\[media\].*, or pipe WAV"):
        list(PipedAudio(ours))
    os.close(theirs)


def test_encoded_sound_is_read_to_its_end_first_without_the_extra_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    content = io.BytesIO()
    soundfile.write(content, SINE, 16_000, "PCM_16", format="FLAC")
    said: list[str] = []
    source = PipedAudio(pipe(content.getvalue()), notify=said.append)
    np.testing.assert_allclose(heard(source), SINE, atol=1e-4)
    assert said == ["standard input is FLAC, which is read to its end first: pipe WAV for labels while it comes."]
    with pytest.raises(InputError, match="standard input is FLAC, which cannot be read live here"):
        heard(PipedAudio(pipe(content.getvalue()), live=True))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(bytes(9000), mtime=0), "is compressed by gzip"),
        (b"PK\x03\x04" + bytes(9000), "is a ZIP archive"),
        (b"%PDF-1.7\n\xe2\xe3" + bytes(9000), "is a PDF"),
        (b"RIFF\0\0\0\0WEBP" + bytes(9000), "is a picture"),
        (b"clip.wav".ljust(257, b"\0") + b"ustar".ljust(255, b"\0") + wav("PCM_16"), "is a tar archive"),
        (("Grüße aus Köln " * 40).encode("latin-1"), "holds text"),
        (("Grüße aus Köln " * 40).encode("utf-16"), "holds text"),
        (wav("PCM_16")[:44], "holds a header and no samples"),
    ],
)
def test_what_is_no_sound_is_named(content: bytes, words: str) -> None:
    with pytest.raises(AudioError, match=f"standard input {words}"):
        heard(PipedAudio(pipe(content)))


@pytest.mark.parametrize(("form", "times"), [("CAF", 1), ("AIFF", 2), ("W64", 2)])
def test_what_is_no_stream_is_read_to_its_end_with_the_extra_too(form: str, times: int) -> None:
    source = PipedAudio(pipe(encoded(form, "PCM_24") * times))
    assert len(heard(source)) == times * 32_000


def test_flac_on_a_pipe_that_ends_early_is_reported() -> None:
    source = PipedAudio(pipe(encoded("FLAC", "PCM_16", voice(4.0))[:-40_000]))
    seconds = len(heard(source)) / 16_000
    assert 1.0 < seconds < 3.5
    assert source.notices == [f"it is cut off: {seconds:.1f} s were read and {4 - seconds:.1f} s are missing"]


@pytest.mark.skipif(not has_media(), reason="PyAV, the extra `media`, is not installed")
def test_wavpack_on_a_pipe_ends_without_an_error() -> None:
    assert len(heard(PipedAudio(pipe(by_ffmpeg("wv", "wavpack", voice(2.0)))))) == 32_000


def test_caf_cannot_be_read_live_and_is_not_called_damaged() -> None:
    with pytest.raises(InputError, match="is CAF, which cannot be read live here: pipe WAV or raw samples"):
        heard(PipedAudio(pipe(encoded("CAF", "PCM_16")), live=True))
