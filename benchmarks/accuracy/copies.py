"""How surely copies of a recording are distinguished from other recordings of a speaker, by their contours.

    python -m benchmarks.accuracy.copies CORPORA

Pairs of clips of one speaker and class, among them the same sentence spoken twice, show how alike recordings can be
that are not copies. Pairs above the limit are listed: corpora contain a few copies. Changed versions of random clips
show which copies are found. Writes `results/copies.json`.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.signal import fftconvolve

from benchmarks.machine import write_result
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.contour import COPY, Prepared, contour_of
from metaser.runtime.audio.load import at_16_khz
from metaser.runtime.audio.trim import load_speech, utterances_in, without_pauses
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.data.utterances import Utterance

CORPORA = ("ravdess", "emodb", "nemo", "crema-d", "emovo", "casia")
"""Corpora whose speakers repeat sentences."""
CHANGED, SEED = 300, 0


def coded(clip: Waveform, form: str, subtype: str, rate_hz: int = SAMPLE_RATE_HZ) -> Waveform:
    """A clip at 16 kHz as this format and rate keep it, at 16 kHz again."""
    file = BytesIO()
    lower = clip if rate_hz == SAMPLE_RATE_HZ else at_16_khz(clip, SAMPLE_RATE_HZ * SAMPLE_RATE_HZ // rate_hz)
    soundfile.write(file, lower, rate_hz, format=form, subtype=subtype)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return at_16_khz(decoded, rate_hz)


def played(clip: Waveform, speed: float) -> Waveform:
    """Faster or slower, and so higher or lower."""
    places = np.arange(int(len(clip) / speed)) * speed
    return np.interp(places, np.arange(len(clip)), clip).astype(np.float32)


def in_a_room(clip: Waveform, seconds: float, wet: float) -> Waveform:
    """With reverberation that decays by 60 dB in these seconds, at a share of the speech's level."""
    times = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    response = np.random.default_rng(SEED).normal(size=len(times)) * 10 ** (-3 * times / seconds)
    tail = fftconvolve(clip, response / np.linalg.norm(response))[: len(clip)]
    return (0.5 * (clip + wet * tail)).astype(np.float32)


def noisy(clip: Waveform, snr_db: float) -> Waveform:
    """With white noise."""
    noise = np.random.default_rng(SEED).normal(size=len(clip)) * clip.std() * 10 ** (-snr_db / 20)
    return (0.5 * (clip + noise)).astype(np.float32)


CHANGES: Mapping[str, Callable[[Waveform], Waveform]] = {
    "half the volume": lambda clip: 0.5 * clip,
    "MP3": lambda clip: coded(clip, "MP3", "MPEG_LAYER_III"),
    "MP3 at 8 kHz": lambda clip: coded(clip, "MP3", "MPEG_LAYER_III", 8000),
    "Opus": lambda clip: coded(clip, "OGG", "OPUS"),
    "telephone": lambda clip: coded(clip, "WAV", "ULAW", 8000),
    "its first half": lambda clip: clip[: len(clip) // 2],
    "its middle half": lambda clip: clip[len(clip) // 4 : -(len(clip) // 4)],
    "noise 20 dB below": lambda clip: noisy(clip, 20),
    "noise 10 dB below": lambda clip: noisy(clip, 10),
    "4 % faster": lambda clip: played(clip, 1.04),
    "5 % slower": lambda clip: played(clip, 0.95),
    "9 % faster": lambda clip: played(clip, 1.09),
    "9 % slower": lambda clip: played(clip, 0.91),
    "a living room, 0.4 s": lambda clip: in_a_room(clip, 0.4, 0.5),
    "a hall, 0.8 s": lambda clip: in_a_room(clip, 0.8, 1.0),
}


def prepared(speech: Waveform) -> Prepared | None:
    """The contour of a clip as at enrolment; None without speech."""
    utterances = utterances_in(speech)
    return Prepared(contour_of(without_pauses(speech, utterances))) if utterances else None


def others(clips: Sequence[Utterance]) -> tuple[list[float], list[tuple[float, str]]]:
    """The resemblance of all pairs of one speaker and class, and the pairs above the limit."""
    own: defaultdict[tuple[str, str, str], list[tuple[str, Prepared]]] = defaultdict(list)
    for clip in clips:
        if contour := prepared(load_speech(clip.path)):
            own[clip.corpus, clip.speaker, clip.label].append((clip.path.stem, contour))
    values, above = [], []
    for same in own.values():
        for (name, one), (other_name, other) in combinations(same, 2):
            values.append(one.resemblance(other))
            if values[-1] >= COPY:
                above.append((round(values[-1], 3), f"{name}, {other_name}"))
    return values, above


def copies(clips: Sequence[Utterance]) -> dict[str, dict[str, float]]:
    """By kind of change, the share of copies that are found, and how much they resemble their originals."""
    chosen = np.random.default_rng(SEED).choice(len(clips), min(CHANGED, len(clips)), replace=False)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for number in chosen.tolist():
        speech = load_speech(clips[number].path)
        original = prepared(speech)
        if original is None or len(speech) < SAMPLE_RATE_HZ:
            continue
        for kind, change in CHANGES.items():
            changed = prepared(change(speech))
            found[kind].append(original.resemblance(changed) if changed else 0.0)
    return {
        kind: {
            "clips": len(values),
            "found_percent": round(100 * float(np.mean(np.array(values) >= COPY)), 1),
            "lowest": round(min(values), 3),
            "percentile_5": round(float(np.quantile(values, 0.05)), 3),
            "median": round(float(np.median(values)), 3),
        }
        for kind, values in found.items()
    }


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.copies", description=__doc__)
    parser.add_argument("corpora", type=Path)
    given = parser.parse_args()
    clips = [clip for name in CORPORA for clip in read_corpus(given.corpora / name).utterances]
    values, above = others(clips)
    below = [value for value in values if value < COPY]
    result: dict[str, Any] = {
        "command": "python -m benchmarks.accuracy.copies CORPORA",
        "limit": COPY,
        "others": {
            "pairs": len(values),
            "percentile_99.9": round(float(np.quantile(values, 0.999)), 3),
            "highest_below_the_limit": round(max(below), 3),
            "pairs_above_the_limit": len(above),
            "above_the_limit": sorted(above, reverse=True),
        },
        "copies": copies(clips),
    }
    write_result("copies", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
