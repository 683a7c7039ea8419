"""What is measured of a clip, on signals whose level and noise are known."""

import numpy as np
import numpy.typing as npt
import pytest

from metaser.runtime import load_audio
from metaser.runtime.bundle import shipped_folder
from metaser.runtime.clip_quality import measure

Audio = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def speech() -> Audio:
    return load_audio(next(iter(sorted((shipped_folder() / "demo" / "support").glob("*/*")))))


def noisy(speech: Audio, snr_db: float) -> Audio:
    noise = np.random.default_rng(0).standard_normal(len(speech))
    noise *= np.sqrt(np.mean(speech**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    mixed: Audio = (speech + noise).astype(np.float32)
    return mixed


def test_a_good_clip_has_no_fault(speech: Audio) -> None:
    quality = measure(speech)
    assert quality.faults() == []
    assert not quality.is_bad
    assert 2 < quality.speech_s <= quality.duration_s == pytest.approx(len(speech) / 16_000, abs=1e-3)


def test_half_as_loud_is_6_db_less(speech: Audio) -> None:
    half: Audio = (speech / 2).astype(np.float32)
    assert measure(half).level_dbfs == pytest.approx(measure(speech).level_dbfs - 6.02, abs=0.11)


def test_more_noise_is_a_lower_estimate_until_the_clip_is_bad(speech: Audio) -> None:
    estimates = [measure(noisy(speech, snr_db)).snr_db for snr_db in (30, 20, 10, 0, -10)]
    assert estimates == sorted(estimates, reverse=True)
    worst = measure(noisy(speech, -10))
    assert worst.is_bad
    assert worst.faults()


def test_silence_and_hiss_hold_no_speech() -> None:
    noise: Audio = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    hiss = measure(noise)
    assert hiss.speech_s == 0
    assert hiss.is_bad
    assert "no speech found" in hiss.faults()


def test_a_quiet_and_a_distorted_clip_are_told_and_kept(speech: Audio) -> None:
    quiet: Audio = (speech / 1000).astype(np.float32)
    assert any("very quiet" in fault for fault in measure(quiet).faults())
    distorted: Audio = np.clip(speech * 20, -1, 1).astype(np.float32)
    assert any("distorted" in fault for fault in measure(distorted).faults())


@pytest.mark.parametrize("samples", [1, 511, 512, 513])
def test_the_shortest_clips_can_be_measured(samples: int) -> None:
    quality = measure(np.full(samples, 0.1, np.float32))
    assert quality.level_dbfs == pytest.approx(-20, abs=0.1)
