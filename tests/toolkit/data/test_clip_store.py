"""Decoded clips: cached, checked, and skipped if unusable."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.errors import InputError
from metaser.toolkit.data.clip_store import ClipStore, check_clips
from metaser.toolkit.data.utterances import Utterance

Cache = Literal["disk", "memory", "none"]


def utterance(path: Path) -> Utterance:
    return Utterance(path, "joy", "1", "en", "c", "joy")


@pytest.fixture
def clips(tmp_path: Path) -> list[Utterance]:
    """Two good clips, one of them at 8 kHz, then one that is missing, silent, broken, and too short."""
    rng = np.random.default_rng(0)
    rates = {"good": 16_000, "slow": 8_000}
    for name, rate_hz in rates.items():
        soundfile.write(tmp_path / f"{name}.wav", rng.uniform(-0.3, 0.3, rate_hz // 2), rate_hz)
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 16_000)
    soundfile.write(tmp_path / "short.wav", rng.uniform(-0.3, 0.3, 1000), 16_000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF but not really")
    return [utterance(tmp_path / f"{name}.wav") for name in ("good", "slow", "missing", "silent", "broken", "short")]


@pytest.mark.parametrize("cache", ["disk", "memory", "none"])
def test_a_clip_is_the_same_from_every_cache_and_at_16_khz(
    clips: list[Utterance], tmp_path: Path, cache: Cache
) -> None:
    store = ClipStore(clips, cache, tmp_path / "cache")
    expected = ClipStore(clips, "none", tmp_path).load(1)
    for _ in range(2):
        assert np.array_equal(store.load(1), expected)
    assert len(expected) == 8000
    assert (tmp_path / "cache").exists() == (cache == "disk")


def test_a_changed_clip_and_a_damaged_cache_are_decoded_again(clips: list[Utterance], tmp_path: Path) -> None:
    store = ClipStore(clips, "disk", tmp_path / "cache")
    first = np.array(store.load(0))
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(cached.read_bytes()[:100])
    assert np.array_equal(store.load(0), first)
    soundfile.write(clips[0].path, np.tile([0.2, -0.2], 2000), 16_000)
    assert len(store.load(0)) == 4000


@pytest.mark.parametrize("cache", ["disk", "memory", "none"])
def test_a_clip_that_the_disk_does_not_give_is_listed_and_stops_nothing(
    clips: list[Utterance], tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> Waveform:
        if path.name == "slow.wav":
            raise OSError(5, "Input/output error")
        return load_speech(path)

    monkeypatch.setattr("metaser.toolkit.data.clip_store.load_speech", read)
    usable, problems = check_clips(ClipStore(clips[:2], cache, tmp_path / "cache"), strict=False, threads=1)
    assert usable == (0,)
    assert [problem.reason for problem in problems] == ["slow.wav cannot be read (Input/output error)"]


@pytest.mark.parametrize("cache", ["disk", "memory", "none"])
def test_clips_that_cannot_be_used_are_listed_with_their_reasons(
    clips: list[Utterance], tmp_path: Path, cache: Cache
) -> None:
    store = ClipStore(clips, cache, tmp_path / "cache")
    usable, problems = check_clips(store, strict=False, threads=2)
    assert usable == (0, 1)
    assert [problem.path.stem for problem in problems] == ["missing", "silent", "broken", "short"]
    for problem, reason in zip(problems, ("no such file", "is silent", "cannot be read", "0.1 s"), strict=True):
        assert reason in problem.reason
    kept = store.keep(usable)
    assert np.array_equal(kept.load(1), store.load(1))
    assert len(kept.utterances) == 2


def test_strict_makes_the_first_of_them_fatal_with_the_numbers(clips: list[Utterance], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"4 of 6 clips cannot be used .*data.strict.* missing.wav: no such file"):
        check_clips(ClipStore(clips, "none", tmp_path), strict=True, threads=1)
