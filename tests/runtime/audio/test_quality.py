"""A clip's speech, level, noise and clipping, on the demonstration clips and on sounds made here."""

from pathlib import Path

import numpy as np
import pytest

from metaser.runtime import Engine, Profile, load_audio
from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.quality import ClipQuality, measure


@pytest.fixture(scope="module")
def speech(support_folder: Path) -> Waveform:
    return load_audio(min((support_folder / "neutral").iterdir()))


def noise(samples: int, level_db: float) -> Waveform:
    return (10 ** (level_db / 20) * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


def test_a_clip_of_speech_has_no_fault(speech: Waveform) -> None:
    quality = measure(speech)
    assert quality.duration_s == pytest.approx(len(speech) / 16_000, abs=1e-3)
    assert 0.8 * quality.duration_s < quality.speech_s <= quality.duration_s + 0.032
    assert quality.faults() == []
    assert not quality.is_bad


def test_a_quieter_clip_has_a_lower_level_by_as_much(speech: Waveform) -> None:
    before, after = measure(speech), measure((speech / np.sqrt(10)).astype(np.float32))
    assert after.level_dbfs == pytest.approx(before.level_dbfs - 10, abs=0.5)


@pytest.mark.parametrize("ratio_db", [0.0, 10.0, 20.0])
def test_speech_over_noise_is_estimated_within_a_few_decibels(speech: Waveform, ratio_db: float) -> None:
    level_db = 10 * np.log10(np.mean(np.square(speech, dtype=np.float64)))
    pause = np.zeros(8000, np.float32)
    clip = np.concatenate([pause, speech])
    quality = measure(clip + noise(len(clip), level_db - ratio_db))
    assert quality.snr_db == pytest.approx(ratio_db, abs=3.5)


def test_noise_alone_has_no_speech_and_is_bad() -> None:
    quality = measure(noise(32_000, -30))
    assert quality.speech_s == 0
    assert quality.level_dbfs == pytest.approx(-30, abs=0.2)
    assert quality.faults() == ["no speech found"]
    assert quality.is_bad


def test_samples_at_full_scale_are_counted(speech: Waveform) -> None:
    clip = speech[:16_000].copy()
    clip[100:132] = 1
    clip[200:208] = -1
    assert measure(clip).clipped_share == 40 / 16_000


def test_more_noise_is_a_lower_estimate_until_the_clip_is_bad(speech: Waveform) -> None:
    level_db = 10 * np.log10(np.mean(np.square(speech, dtype=np.float64)))
    noisy = [measure(speech + noise(len(speech), level_db - ratio_db)) for ratio_db in (30, 20, 10, 0, -10)]
    estimates = [quality.snr_db for quality in noisy]
    assert estimates == sorted(estimates, reverse=True)
    assert [quality.is_bad for quality in noisy] == [False] * 3 + [noisy[3].is_bad, True]


@pytest.mark.parametrize("samples", [1, 511, 512, 513])
def test_the_shortest_clips_are_measured(samples: int) -> None:
    quality = measure(noise(samples, -20))
    assert quality.duration_s == round(samples / 16_000, 3)
    assert quality.speech_s == 0


@pytest.mark.parametrize(
    ("quality", "fault", "bad"),
    [
        (ClipQuality(3, 0.3, -20, 30, 0), "only 0.3 s of speech", True),
        (ClipQuality(3, 0.98, -20, 30, 0), "only 0.9 s of speech", False),
        (ClipQuality(3, 3, -57, 30, 0), "very quiet (-57 dBFS)", False),
        (ClipQuality(3, 3, -20, 3, 0), "noisy (speech 3 dB above the noise)", True),
        (ClipQuality(3, 3, -20, -4, 0), "noisy (as loud as the speech)", True),
        (ClipQuality(3, 3, -20, 30, 0.004), "distorted (0.4% of its samples are cut off)", False),
    ],
)
def test_each_fault_is_said_in_plain_words(quality: ClipQuality, fault: str, bad: bool) -> None:
    assert quality.faults() == [fault]
    assert quality.is_bad is bad


def test_noise_as_loud_as_the_speech_is_a_doubt_about_a_clip(
    engine: Engine, profile: Profile, speech: Waveform
) -> None:
    loud = noise(len(speech), 20 * np.log10(1.2 * float(speech.std())))
    doubt = "its speech is hardly louder than the noise, so the label may be wrong"
    assert doubt in engine.classify_with_doubts(speech + loud, profile)[1]
    assert doubt not in engine.classify_with_doubts(speech, profile)[1]
