"""Recording quality of a support clip: speech, level, noise and clipping, with its faults in plain words.

Limits that concern accuracy come from `python -m benchmarks.research.enrolment limits`; see docs/enrolment.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.distortion import count_cut_off
from metaser.runtime.audio.trim import LITTLE_SPEECH_S, SHORT_SPEECH_S, VERY_QUIET_DBFS, only, utterances_in
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES, Utterance

NOISY_DB = 5.0
"""Below this estimate the noise is about as loud as the speech or louder, and the clip does harm likewise."""

DISTORTED_SHARE = 0.001
"""A larger share of cut off samples is audible; from ten times this share on the clip is refused."""

SNR_RANGE_DB = (-10.0, 60.0)
NOISE_SHARE = 0.1
"""The share of a clip's chunks, the quietest, that counts as its noise."""

MIN_POWER = 1e-12
"""-120 dBFS."""


@dataclass(frozen=True)
class ClipQuality:
    """A clip's measurements."""

    duration_s: float
    speech_s: float
    """Duration of the speech that voice activity detection finds."""

    level_dbfs: float
    """Root mean square of the speech, or of the whole clip if there is none."""

    snr_db: float
    """Estimated ratio of speech to the clip's quietest chunks, from -10 to 60."""

    clipped_share: float
    """The share of samples that are cut off."""

    @property
    def is_bad(self) -> bool:
        """Whether the clip does more harm than leaving it out, by measurement."""
        return self.speech_s < LITTLE_SPEECH_S or self.snr_db < NOISY_DB

    def faults(self) -> list[str]:
        """Faults of the recording, each in a few words."""
        found = []
        if self.speech_s < SHORT_SPEECH_S:
            found.append(only(self.speech_s) if self.speech_s else "no speech found")
        if self.level_dbfs < VERY_QUIET_DBFS:
            found.append(f"very quiet ({self.level_dbfs:.0f} dBFS)")
        if self.speech_s and self.snr_db < NOISY_DB:
            above = f"speech {self.snr_db:.0f} dB above the noise" if self.snr_db > 0 else "as loud as the speech"
            found.append(f"noisy ({above})")
        if self.clipped_share > DISTORTED_SHARE:
            found.append(f"distorted ({self.clipped_share:.1%} of its samples are cut off)")
        return found


def noise_doubt(waveform: Waveform, utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """A sentence if the speech of a clip, float32 [T] at 16 kHz, is hardly louder than its noise."""
    noisy = bool(utterances) and measure(waveform, utterances).snr_db < NOISY_DB
    return ("its speech is hardly louder than the noise, so the label may be wrong",) if noisy else ()


def measure(waveform: Waveform, utterances: Sequence[Utterance] | None = None) -> ClipQuality:
    """Measure a clip, float32 [T] at 16 kHz; its utterances are detected if they are not given."""
    chunks = max(1, len(waveform) // CHUNK_SAMPLES)
    whole = np.resize(waveform, max(len(waveform), CHUNK_SAMPLES))[: chunks * CHUNK_SAMPLES]
    power = np.square(whole.astype(np.float64)).reshape(chunks, CHUNK_SAMPLES).mean(axis=1)  # [chunks]
    is_speech = _speech(
        -(-len(waveform) // CHUNK_SAMPLES), utterances_in(waveform) if utterances is None else utterances
    )
    spoken = power[is_speech[:chunks]] if is_speech[:chunks].any() else power
    quietest = np.sort(power)[: max(1, round(NOISE_SHARE * chunks))].mean()
    level, noise = (max(float(value), MIN_POWER) for value in (spoken.mean(), quietest))
    return ClipQuality(
        duration_s=round(len(waveform) / SAMPLE_RATE_HZ, 3),
        speech_s=round(float(is_speech.sum()) * CHUNK_SAMPLES / SAMPLE_RATE_HZ, 3),
        level_dbfs=round(10 * np.log10(level), 1),
        snr_db=round(float(np.clip(10 * np.log10(max(level - noise, MIN_POWER) / noise), *SNR_RANGE_DB)), 1),
        clipped_share=round(count_cut_off(waveform) / max(1, len(waveform)), 5),
    )


def _speech(chunks: int, utterances: Sequence[Utterance]) -> npt.NDArray[np.bool_]:
    """[chunks] whether a chunk of 32 ms lies in an utterance."""
    is_speech = np.zeros(chunks, dtype=np.bool_)
    for utterance in utterances:
        if utterance.end is not None:
            is_speech[utterance.start // CHUNK_SAMPLES : -(-utterance.end // CHUNK_SAMPLES)] = True
    return is_speech
