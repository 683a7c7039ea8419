"""Trimming a clip to its speech, as a stream does: enrolled and classified clips lose the pauses at both ends, so that
all of them are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.load import load_audio
from metaser.runtime.audio.silero import BLOCK_SAMPLES, SpeechDetector
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES, Utterance, utterances_by

LITTLE_SPEECH_S = 0.5
"""With less speech than this, one of five support clips does more harm than a fifth clip does good."""

SHORT_SPEECH_S = 1.0
"""With less speech than this, a clip is less reliable than a longer one; a stream waits as long for its first label."""

VERY_QUIET_DBFS = -50.0
"""Speech at this level uses about seven of 16 bits."""

LONG_S = 20.0
"""A longer waveform is probably no clip but a recording."""


def load_speech(path: str | Path) -> Waveform:
    """The speech of an audio file, float32 [T] at 16 kHz; the whole file if no speech is found.

    Raises:
        NotFoundError, AudioError: as `load_audio`.
    """
    return speech_in(load_audio(path))


def speech_in(waveform: Waveform) -> Waveform:
    """A clip, float32 [T] at 16 kHz, without the pauses at its ends; the whole clip if no speech is found."""
    return without_pauses(waveform, utterances_in(waveform))


def doubts(waveform: Waveform, utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """Why the label of a clip, float32 [T] at 16 kHz, may mean little; one sentence each."""
    speech_s = sum((each.end or len(waveform)) - each.start for each in utterances) / SAMPLE_RATE_HZ
    if not utterances:
        return ("no speech was found, so the label is that of a sound",)
    if speech_s < SHORT_SPEECH_S:
        return (f"{only(speech_s)}: a second or more works best",)
    power = np.concatenate([np.square(waveform[each.start : each.end]) for each in utterances]).mean()
    if power < 10 ** (VERY_QUIET_DBFS / 10):
        return (f"its speech is very quiet ({10 * np.log10(power):.0f} dBFS): record it louder",)
    if len(waveform) > LONG_S * SAMPLE_RATE_HZ:
        return (f"{len(waveform) / SAMPLE_RATE_HZ:.0f} s of audio get one label: a stream labels it as it changes",)
    return ()


def only(speech_s: float) -> str:
    """How little speech there is, rounded down, so that less than a second is not called a second."""
    return f"only {int(10 * speech_s) / 10:.1f} s of speech"


def without_pauses(waveform: Waveform, utterances: Sequence[Utterance]) -> Waveform:
    """The clip from the start of its first utterance to the end of its last; the whole clip if there is none."""
    return waveform[utterances[0].start : utterances[-1].end] if utterances else waveform


def utterances_in(waveform: Waveform) -> list[Utterance]:
    """The utterances of a clip, float32 [T] at 16 kHz, by the voice activity detection of streams."""
    return utterances_by(speech_probabilities(waveform))


def speech_probabilities(waveform: Waveform) -> list[float]:
    """The probability of speech in each 32 ms of a clip, float32 [T] at 16 kHz; the last is padded with zeros."""
    detector = SpeechDetector()
    whole = len(waveform) // BLOCK_SAMPLES * BLOCK_SAMPLES
    rest = np.pad(waveform[whole:], (0, -len(waveform) % CHUNK_SAMPLES))
    return [*detector.hear(waveform[:whole]).tolist(), *detector.hear(rest).tolist()]
