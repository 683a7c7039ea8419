"""Copies of a recording have the same contour; other recordings do not."""

from collections.abc import Callable
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.runtime.audio.contour import COPY, Contour, Prepared, contour_of
from metaser.runtime.audio.load import at_16_khz
from metaser.runtime.audio.trim import load_speech

Floats: TypeAlias = npt.NDArray[np.float32]
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def clips(support_folder: Path) -> dict[Path, Floats]:
    """The demonstration clips, cut to their speech."""
    return {path: load_speech(path) for path in sorted(support_folder.rglob("*.*")) if path.is_file()}


def coded(samples: Floats, form: str, subtype: str, rate_hz: int = RATE_HZ) -> Floats:
    """The samples after a codec."""
    file = BytesIO()
    resampled = samples if rate_hz == RATE_HZ else at_8_khz(samples)
    soundfile.write(file, resampled, rate_hz, format=form, subtype=subtype)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return at_16_khz(decoded, rate_hz)


def at_8_khz(samples: Floats) -> Floats:
    return at_16_khz(samples, 2 * RATE_HZ)  # half as many samples


def noisy(samples: Floats, snr_db: float) -> Floats:
    noise = np.random.default_rng(0).normal(size=len(samples)) * samples.std() * 10 ** (-snr_db / 20)
    return (samples + noise).astype(np.float32)


def played(samples: Floats, speed: float) -> Floats:
    """Faster or slower, and so higher or lower."""
    places = np.arange(int(len(samples) / speed)) * speed
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)


def alike(a: Contour, b: Contour) -> float:
    return Prepared(a).resemblance(Prepared(b))


def are_copies(a: Floats, b: Floats) -> bool:
    return Prepared(contour_of(a)).is_copy_of(Prepared(contour_of(b)))


COPIES: dict[str, Callable[[Floats], Floats]] = {
    "the same": lambda clip: clip,
    "quieter": lambda clip: 0.3 * clip,
    "telephone": lambda clip: coded(clip, "WAV", "ULAW", 8_000),
    "MP3": lambda clip: coded(clip, "MP3", "MPEG_LAYER_III"),
    "MP3 at 8 kHz": lambda clip: coded(clip, "MP3", "MPEG_LAYER_III", 8_000),
    "Opus": lambda clip: coded(clip, "OGG", "OPUS"),
    "light noise": lambda clip: noisy(clip, 20),
    "without its end": lambda clip: clip[: len(clip) * 2 // 3],
    "its middle": lambda clip: clip[len(clip) // 4 : len(clip) * 3 // 4],
    "4 % faster": lambda clip: played(clip, 1.04),
    "5 % slower": lambda clip: played(clip, 0.95),
    "a little later": lambda clip: np.pad(clip, (1234, 0))[: len(clip)],
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_recognised(clips: dict[Path, Floats], kind: str) -> None:
    missed = [path.name for path, clip in clips.items() if not are_copies(clip, COPIES[kind](clip))]
    assert missed == []


def test_overlapping_parts_of_one_recording_are_copies(clips: dict[Path, Floats]) -> None:
    for clip in clips.values():
        parts = clip[: len(clip) * 2 // 3], coded(clip[len(clip) // 3 :], "MP3", "MPEG_LAYER_III")
        assert are_copies(*parts)


def test_other_clips_are_no_copies(clips: dict[Path, Floats]) -> None:
    contours = [Prepared(contour_of(clip)) for clip in clips.values()]
    assert max(a.resemblance(b) for a, b in combinations(contours, 2)) < COPY - 0.05


def test_resemblance_is_the_correlation_at_the_best_lag_and_speed() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 256, (4, 120)).astype(np.uint8)
    b = np.concatenate([rng.integers(0, 256, (4, 20)), a[:, :100]], axis=1).astype(np.uint8)
    assert alike(a, b) == pytest.approx(1)
    c = np.clip(b + rng.normal(size=b.shape) * 60, 0, 255).astype(np.uint8)
    x, y = a[:, :100].astype(np.float64), c[:, 20:].astype(np.float64)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    expected = (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())
    assert alike(a, c) == pytest.approx(expected, abs=1e-6)
    assert alike(c, a) == pytest.approx(expected, abs=1e-6)
    smooth = np.cumsum(rng.normal(size=(4, 240)), axis=1)
    smooth = 255 * (smooth - smooth.min()) / np.ptp(smooth)
    slower = np.stack([np.interp(np.arange(260) * 0.92, np.arange(240), row) for row in smooth])
    assert alike(smooth.astype(np.uint8), slower.astype(np.uint8)) > 0.998


def test_steady_and_short_sounds_are_never_copies() -> None:
    hum = np.sin(2 * np.pi * 440 * np.arange(3 * RATE_HZ) / RATE_HZ).astype(np.float32)
    assert not are_copies(hum, 0.5 * hum[: 2 * RATE_HZ])
    assert alike(contour_of(hum[:100]), contour_of(hum)) == 0
    assert contour_of(hum[:100]).shape == (4, 1)
    assert not are_copies(np.zeros(RATE_HZ, np.float32), np.zeros(RATE_HZ, np.float32))


def test_a_contour_has_a_hundred_frames_per_second_and_a_minute_at_most(conversation: Floats) -> None:
    assert contour_of(conversation[: 2 * RATE_HZ]).shape == (4, 197)
    assert contour_of(np.resize(conversation, 70 * RATE_HZ)).shape == (4, 5997)
