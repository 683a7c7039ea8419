"""Real clips and long recordings made of them, and a profile, in a working folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import soundfile

from metaser.runtime import Engine

CLIPS = 2000
RATE_HZ = 16_000
PAUSE_S = 0.7
CLASSES = {"W": "anger", "F": "joy", "N": "neutral", "T": "sadness"}
"""Letter in the names of EmoDB -> class."""


def make_profile(corpora: Path, work: Path) -> Path:
    """A profile of five clips per class of EmoDB."""
    path = work / "profile.safetensors"
    Engine.open().enroll(make_support(corpora, work / "support")).save(path)
    return path


def make_support(corpora: Path, folder: Path) -> Path:
    """A folder with five clips per class of EmoDB."""
    files = sorted((corpora / "emodb" / "wav").glob("*.flac"))
    for letter, label in CLASSES.items():
        (folder / label).mkdir(parents=True)
        for path in [path for path in files if path.stem[5] == letter][:5]:
            shutil.copy(path, folder / label)
    return folder


def make_clips(corpora: Path, work: Path, count: int = CLIPS) -> Path:
    """A folder of clips of CREMA-D and EmoDB."""
    folder = work / "clips"
    folder.mkdir()
    for path in islice(_recordings(corpora), count):
        shutil.copy(path, folder)
    return folder


def make_long(corpora: Path, work: Path, hours: int) -> Path:
    """A folder of recordings of one hour, made of real clips with pauses between them."""
    folder = work / "long"
    folder.mkdir()
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    clips = cycle(list(_recordings(corpora)))
    for hour in range(hours):
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < 3600 * RATE_HZ:
            samples, rate_hz = soundfile.read(next(clips), dtype="float32")
            assert rate_hz == RATE_HZ
            parts += [samples, pause]
        soundfile.write(folder / f"{hour:02}.flac", np.concatenate(parts), RATE_HZ)
    return folder


def _recordings(corpora: Path) -> Iterator[Path]:
    yield from sorted((corpora / "crema-d").rglob("*.ogg"))
    yield from sorted((corpora / "emodb" / "wav").glob("*.flac"))
