"""Reading clips: formats, rates and channels in; one clear error for each kind of bad clip."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime import AudioError, NotFoundError, load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.load import read_array
from metaser.runtime.audio.resampler import resample


def tone(samples: int, rate_hz: int = 16_000, hz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hz * np.arange(samples) / rate_hz)).astype(np.float32)


def test_a_clip_at_16_khz_comes_back_as_written(tmp_path: Path) -> None:
    samples = np.round(tone(1000) * 32768) / 32768
    soundfile.write(tmp_path / "clip.wav", samples, 16_000, subtype="PCM_16")
    np.testing.assert_array_equal(load_audio(tmp_path / "clip.wav"), samples.astype(np.float32))


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_every_rate_and_format_gives_the_same_tone_at_16_khz(tmp_path: Path, rate_hz: int, suffix: str) -> None:
    if suffix == "ogg" and rate_hz > 48_000:
        rate_hz = 32_000
    soundfile.write(tmp_path / f"clip.{suffix}", tone(rate_hz, rate_hz), rate_hz)
    waveform = load_audio(tmp_path / f"clip.{suffix}")
    assert waveform.dtype == np.float32
    assert abs(len(waveform) - 16_000) <= 1
    spectrum = np.abs(np.fft.rfft(waveform[:16_000], 16_000))
    assert spectrum.argmax() == 440
    middle = slice(1000, 15_000)
    np.testing.assert_allclose(waveform[middle], tone(16_000)[middle], atol=0.03)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(1600), tone(1600, hz=880)
    soundfile.write(tmp_path / "clip.wav", np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "clip.wav"), (left + right) / 2, atol=1e-7)


def test_a_long_clip_read_in_blocks_equals_one_resampling(tmp_path: Path) -> None:
    samples = tone(22_050 * 25, 22_050)
    soundfile.write(tmp_path / "clip.wav", samples, 22_050, subtype="FLOAT")
    whole = np.concatenate(list(resample([samples], 22_050, SAMPLE_RATE_HZ)))
    np.testing.assert_allclose(load_audio(tmp_path / "clip.wav"), whole, atol=1e-6)


def write(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.float32), "no samples"),
        (np.zeros(16_000, np.float32), "silent"),
        (tone(16_000, peak=5e-4), "silent"),
        (np.clip(4 * tone(16_000), -1, 1), "clipped"),
        (np.where(np.arange(16_000) == 99, np.nan, tone(16_000)).astype(np.float32), "NaN"),
        (np.where(np.arange(16_000) == 99, np.inf, tone(16_000)).astype(np.float32), "NaN or infinite"),
        (3000 * tone(16_000), r"up to 1500 but the range is \[-1, 1\]"),
    ],
)
def test_a_bad_clip_is_refused_by_name(tmp_path: Path, samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=f"clip.wav .*{message}"):
        load_audio(write(tmp_path / "clip.wav", samples))


def test_a_clip_over_the_cap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"longer than 1 s: cut it, or .* `metaser stream FILE`"):
        load_audio(write(tmp_path / "clip.wav", tone(16_001)), max_s=1)
    assert len(load_audio(write(tmp_path / "clip.wav", tone(16_000)), max_s=1)) == 16_000


def test_files_that_are_not_audio_are_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(b"not audio at all")
    with pytest.raises(AudioError, match=r"clip.wav cannot be read as audio"):
        load_audio(tmp_path / "clip.wav")
    (tmp_path / "clip.wav").write_bytes(b"")
    with pytest.raises(AudioError, match="empty file"):
        load_audio(tmp_path / "clip.wav")
    (tmp_path / "clip.raw").write_bytes(bytes(1000))
    with pytest.raises(AudioError, match=r"no header .*: convert it"):
        load_audio(tmp_path / "clip.raw")
    with pytest.raises(NotFoundError, match="no such file"):
        load_audio(tmp_path / "other.wav")


def test_a_slightly_clipped_clip_passes(tmp_path: Path) -> None:
    samples = tone(16_000)
    samples[:100] = 1.0
    assert len(load_audio(write(tmp_path / "clip.wav", samples))) == 16_000


@pytest.mark.parametrize(("subtype", "suffix"), [("PCM_16", "wav"), ("PCM_24", "flac"), ("FLOAT", "wav")])
def test_speech_that_was_clipped_and_then_made_quieter_is_refused(
    tmp_path: Path, conversation: Waveform, subtype: str, suffix: str
) -> None:
    limit = 0.2 * np.abs(conversation).max()
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, 0.3 / limit * np.clip(conversation, -limit, limit), SAMPLE_RATE_HZ, subtype=subtype)
    with pytest.raises(AudioError, match=r"is clipped \(\d+% of its samples are cut off\)"):
        load_audio(path)
    soundfile.write(path, 0.3 * conversation, SAMPLE_RATE_HZ, subtype=subtype)
    assert len(load_audio(path)) == len(conversation)


def test_speech_whose_integers_overflowed_is_refused(tmp_path: Path, conversation: Waveform) -> None:
    loud = np.rint(3 * 32_767 * conversation / np.abs(conversation).max()).astype(np.int64)
    wrapped = (loud & 0xFFFF).astype(np.uint16).view(np.int16)
    soundfile.write(tmp_path / "clip.wav", wrapped, SAMPLE_RATE_HZ)
    with pytest.raises(AudioError, match=r"clip\.wav overflows \(its samples jump from one end"):
        load_audio(tmp_path / "clip.wav")
    with pytest.raises(AudioError, match="the clip overflows"):
        read_array(wrapped, "the clip")


@pytest.mark.parametrize("level", [0.02, 0.4])
def test_quiet_speech_with_an_offset_is_not_taken_for_clipped(conversation: Waveform, level: float) -> None:
    clip = level * conversation / np.abs(conversation).max() + 0.5
    moved = read_array(np.rint(32_767 * clip).astype(np.int16), "the clip").waveform
    assert abs(float(moved.mean())) < 1e-6


@pytest.mark.parametrize("subtype", ["PCM_U8", "ULAW", "ALAW"])
def test_speech_in_8_bits_is_not_taken_for_clipped(tmp_path: Path, conversation: Waveform, subtype: str) -> None:
    soundfile.write(tmp_path / "clip.wav", conversation, SAMPLE_RATE_HZ, subtype=subtype)
    assert len(load_audio(tmp_path / "clip.wav")) == len(conversation)


@pytest.mark.parametrize("array", [np.zeros((2, 16_000), np.float32), np.ones(16_000, np.int32), "text"])
def test_an_array_of_another_shape_or_type_is_refused(array: object) -> None:
    with pytest.raises(AudioError, match=r"give float samples \[T\]"):
        read_array(array, "clip")  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=8), st.sampled_from([8_000, 44_100, 48_000]))
def test_resampling_does_not_depend_on_the_blocks(sizes: list[int], rate_hz: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, sum(sizes)).astype(np.float32)
    blocks = np.split(samples, np.cumsum(sizes)[:-1])
    in_blocks = np.concatenate(list(resample(blocks, rate_hz, SAMPLE_RATE_HZ)))
    np.testing.assert_allclose(in_blocks, np.concatenate(list(resample([samples], rate_hz, SAMPLE_RATE_HZ))), atol=1e-6)
