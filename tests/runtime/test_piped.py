"""Sound on a real pipe."""

import io
import os
import threading

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.runtime import AudioError
from metaser.runtime.piped import LivePipe, PipedAudio, RawFormat

SINE = (0.5 * np.sin(np.arange(5000) / 9)).astype(np.float32)


def pipe(content: bytes) -> int:
    ours, theirs = os.pipe()

    def feed() -> None:
        with os.fdopen(theirs, "wb") as end:
            end.write(content)

    threading.Thread(target=feed, daemon=True).start()
    return ours


def heard(source: PipedAudio | LivePipe) -> npt.NDArray[np.float32]:
    return np.concatenate([chunk.samples for chunk in source])


def wav(subtype: str, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.stack([SINE] * channels, axis=1), rate_hz, subtype, format="WAV")
    return content.getvalue()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_is_read_as_libsndfile_reads_it(subtype: str, channels: int) -> None:
    content = wav(subtype, channels=channels)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    np.testing.assert_allclose(heard(PipedAudio(pipe(content))), expected.mean(axis=1), atol=1e-7)


def test_raw_samples_are_read_as_described_and_half_a_sample_is_left_out() -> None:
    content = (SINE * 32_768).astype("<i2").tobytes()
    source = PipedAudio(pipe(content + b"\x01"), RawFormat())
    np.testing.assert_allclose(heard(source), SINE, atol=1 / 32_768)
    assert source.odd_bytes == 1


def test_a_header_without_a_length_is_read_to_the_end() -> None:
    content = wav("PCM_16")
    at = content.index(b"data") + 4
    endless = content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]
    assert len(heard(PipedAudio(pipe(endless)))) == len(SINE)


def test_recordings_one_after_the_other_go_on_or_are_refused_where_the_format_changes() -> None:
    assert len(heard(PipedAudio(pipe(wav("PCM_16") * 2)))) == 2 * len(SINE)
    with pytest.raises(AudioError, match="changes from 16000 Hz, 1 channels to 8000 Hz"):
        heard(PipedAudio(pipe(wav("PCM_16") + wav("PCM_16", 8000))))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "holds no samples"), (b"RIFF", "ends within its WAV header"), (wav("ALAW"), "WAV of format 6 with 8 bits")],
)
def test_what_cannot_be_used_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        heard(PipedAudio(pipe(content)))


def test_live_piped_sound_loses_what_does_not_fit_and_counts_it() -> None:
    samples = heard(LivePipe(PipedAudio(pipe(wav("PCM_16"))), ring_s=10))
    assert len(samples) == len(SINE)
