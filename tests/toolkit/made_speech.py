"""Synthetic versions of the protocol's four corpora: noisy tones, one pitch per emotion, under real file names."""

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16_000
TAKES = 8  # as many clips as an episode of one person needs
PITCHES_HZ = (250, 500, 1000, 2000)
NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "ravdess": (("01", "02", "15", "16", "19", "20"), ("03", "04", "05", "06"), "03-01-{1}-01-01-{2:02}-{0}"),
    "emodb": (("03", "08", "11", "12", "13", "14"), ("W", "F", "T", "N"), "{0}a{2:02}{1}a"),
    "nemo": (("AO0", "KR0", "KS0", "MP0", "SM0", "TP0"), ("anger", "fear", "happiness", "sadness"), "{0}_{1}_{2}"),
    "urdu": (("F1", "F2", "M1", "M2"), ("A", "H", "N", "S"), "S{0}_F{2}_{1}{2}"),
}
"""Two speakers of each partition of the protocol, emotions, and the file name pattern."""


def write_speech(root: Path) -> Path:
    """Write one folder per corpus below `root`, with clips of a quarter of a second."""
    rng = np.random.default_rng(0)
    for corpus, (speakers, emotions, name) in NAMES.items():
        (root / corpus).mkdir()
        for speaker in speakers:
            for emotion, pitch_hz in zip(emotions, PITCHES_HZ, strict=True):
                for take in range(TAKES):
                    phase = 2 * np.pi * pitch_hz * rng.uniform(0.8, 1.2) * np.arange(RATE_HZ // 4) / RATE_HZ
                    clip = 0.3 * np.sin(phase) + rng.normal(0, 0.1, len(phase))
                    soundfile.write(root / corpus / f"{name.format(speaker, emotion, take)}.wav", clip, RATE_HZ)
    return root
