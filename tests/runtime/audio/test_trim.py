"""Trimming the pauses at a clip's ends, and its effect."""

from pathlib import Path

import numpy as np
import pytest

from metaser.runtime import Engine, load_audio
from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.trim import doubts, load_speech, speech_in, utterances_in
from metaser.runtime.audio.voice_activity import Utterance


def pause(seconds: float, seed: int) -> Waveform:
    """Noise 80 dB below full scale."""
    noise = 1e-4 * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))
    return noise.astype(np.float32)


@pytest.fixture(scope="module")
def spoken(support_folder: Path) -> Waveform:
    return load_speech(min((support_folder / "neutral").iterdir()))


def test_pauses_at_both_ends_are_cut_and_the_speech_is_left(spoken: Waveform) -> None:
    padded = np.concatenate([pause(1.0, 0), spoken, pause(1.5, 1)])
    assert abs(len(speech_in(padded)) - len(spoken)) <= 0.15 * 16_000
    (utterance,) = utterances_in(padded)
    assert utterance.start == pytest.approx(16_000, abs=0.1 * 16_000)


def test_a_pause_between_two_utterances_stays(spoken: Waveform) -> None:
    clip = np.concatenate([pause(1.0, 0), spoken, pause(1.0, 1), spoken, pause(1.0, 2)])
    assert len(utterances_in(clip)) == 2
    assert len(speech_in(clip)) == pytest.approx(2 * len(spoken) + 16_000, abs=0.2 * 16_000)


def test_a_clip_without_speech_is_left_whole() -> None:
    noise = pause(2.0, 0)
    assert speech_in(noise) is noise
    assert len(speech_in(noise[:100])) == 100


def test_pauses_change_neither_what_is_enrolled_nor_what_is_answered(support_folder: Path) -> None:
    engine = Engine.open("frozen", provider="cpu")
    plain = {
        folder.name: [load_audio(path) for path in sorted(folder.iterdir())] for folder in support_folder.iterdir()
    }
    padded = {
        label: [np.concatenate([pause(1.0, 0), clip, pause(1.0, 1)]) for clip in clips]
        for label, clips in plain.items()
    }
    profiles = [engine.enroll(support) for support in (plain, padded)]
    for before, after in zip(profiles[0].prototypes, profiles[1].prototypes, strict=True):
        assert before @ after / np.linalg.norm(before) / np.linalg.norm(after) > 0.999
    clip = plain["joy"][0]
    answers = [
        engine.classify(each, profiles[0]) for each in (clip, np.concatenate([pause(1.0, 3), clip, pause(1.0, 4)]))
    ]
    assert answers[0].label == answers[1].label == "joy"
    assert answers[1].confidence == pytest.approx(answers[0].confidence, abs=0.05)


def test_a_clip_whose_label_means_little_is_doubted(spoken: Waveform) -> None:
    (nothing,) = doubts(pause(2.0, 0), utterances_in(pause(2.0, 0)))
    assert nothing.startswith("no speech was found")
    (little,) = doubts(spoken[:4_800], [Utterance(0, None)])
    assert little == "only 0.3 s of speech: a second or more works best"
    (short,) = doubts(spoken[:15_900], [Utterance(0, None)])
    assert short == "only 0.9 s of speech: a second or more works best"
    assert doubts(spoken[:16_000], [Utterance(0, None)]) == ()
    long = np.tile(spoken, 1 + 20 * 16_000 // len(spoken))
    (lasting,) = doubts(long, utterances_in(long))
    assert lasting == f"{len(long) / 16_000:.0f} s of audio get one label: a stream labels it as it changes"
    assert doubts(spoken, utterances_in(spoken)) == ()
