"""A profile of the tiny bundle, recordings of sung vowels, and jobs on them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.archive import Job, Options, Source, Summary, Transcripts, label_archive
from metaser.runtime import Engine

RATE_HZ = 16_000
Floats: TypeAlias = npt.NDArray[np.float32]
ClipMaker: TypeAlias = Callable[[str, float, int], Floats]
Label: TypeAlias = Callable[..., Summary]


@pytest.fixture(scope="session")
def profile(tiny_bundle: Path, support_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of the classes calm and keen; not to be changed."""
    path = tmp_path_factory.mktemp("profile") / "me.safetensors"
    Engine.open(tiny_bundle, provider="cpu").enroll(support_folder).save(path)
    return path


@pytest.fixture(scope="session")
def job(profile: Path, tiny_bundle: Path) -> Job:
    """A job with this profile."""
    return Job(str(profile), str(tiny_bundle), "cpu")


@pytest.fixture(scope="session")
def clips(make_clip: ClipMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve clips; not to be changed."""
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(12):
        label = ("calm", "keen")[seed % 2]
        soundfile.write(folder / f"{label}{seed:02}.wav", make_clip(label, 1.0 + 0.1 * seed, 50 + seed), RATE_HZ)
    return folder


@pytest.fixture(scope="session")
def talk(make_clip: ClipMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 30 s: from 1 s on calm, keen and so on, each for 2 s after a pause of 1 s; not to be changed."""
    path = tmp_path_factory.mktemp("talks") / "talk.wav"
    pause = np.zeros(RATE_HZ, np.float32)
    parts = [part for seed in range(10) for part in (pause, make_clip(("calm", "keen")[seed % 2], 2.0, seed // 2))]
    soundfile.write(path, np.concatenate(parts), RATE_HZ)
    return path


@pytest.fixture
def label(job: Job, tmp_path: Path) -> Label:
    """`label(recordings, "out", segments=...)` in this process, by one worker."""

    def run(
        given: Path | Sequence[Path], out: str = "out", segments: Path | None = None, workers: int = 1, **options: Any
    ) -> Summary:
        tiers = options.pop("tiers", ())
        source = Source(
            [given] if isinstance(given, Path) else given, None if segments is None else Transcripts(segments, tiers)
        )
        return label_archive(source, tmp_path / out, options.pop("job", job), Options(workers, **options))

    return run


def table(out: Path) -> list[dict[str, str]]:
    """The rows of `labels.csv`."""
    with (out / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lines(out: Path) -> list[dict[str, Any]]:
    """The rows of `labels.jsonl`."""
    return [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]
