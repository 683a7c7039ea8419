"""Corpora written for a test, and what was read of them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from metaser.toolkit.data.corpora import Corpus

RATE_HZ = 8000


def write_clips(root: Path, names: Iterable[str], duration_s: float = 0.01, rate_hz: int = RATE_HZ) -> Path:
    samples = np.linspace(-0.5, 0.5, int(duration_s * rate_hz), dtype=np.float32)
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples * (1 - number / 1000), rate_hz)  # each clip is another recording
    return root


def rows(corpus: Corpus) -> list[tuple[str, str, str, str]]:
    return [(clip.path.stem, clip.label, clip.original_label, clip.speaker) for clip in corpus.utterances]


def reasons(corpus: Corpus) -> dict[str, str]:
    return {problem.path.name: problem.reason for problem in corpus.problems}
