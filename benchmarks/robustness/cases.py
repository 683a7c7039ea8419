"""Use damaged files of each kind, one file per seed, in the same way as the commands.

A case is a kind and a seed, which determine the file. A damaged file that is accepted is also used, and its result must
be valid: a label with a confidence between 0 and 1, JSON that can be parsed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from benchmarks.robustness.bytes import damaged
from benchmarks.robustness.documents import changed_json, changed_tensors
from metaser.runtime import Engine, Profile
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.file import AudioFile
from metaser.runtime.audio.formats.pcm import FORMATS, RawFormat
from metaser.runtime.audio.load import read_audio
from metaser.runtime.audio.pipe import LivePipe, PipedAudio
from metaser.runtime.bundles.bundle import MANIFEST, sha256_of
from metaser.runtime.enrolment.profile_format import sealed
from metaser.runtime.scoring.decision import Decision
from metaser.runtime.tuning.head import TUNE_GRAPH, HeadTuningSettings

Case: TypeAlias = Callable[[int], None]

SHIPPED = "tiny"
SHIPPED_EVERY = 40
"""One case in this number uses a shipped bundle, whose encoder takes a hundred times as long to open."""

CALIBRATED_EVERY = 5
"""One profile in this number is calibrated again, which takes longer than everything else."""

SEALED_SHARE = 0.9
"""Share of the damaged profiles that get the hash of their content, so that what is behind that check is reached."""

REPAIRED = 0.5
"""The share of damaged bundles whose hashes are corrected, so that the checks after the hashes are reached."""

WHOLE_FILE = 0.05
"""The share of damaged bundles in which a file is missing, a link, or another file."""

PIPED = 0.3
CLIP = 0.1 * np.sin(np.arange(SAMPLE_RATE_HZ) / 7).astype(np.float32)
SUPPORT = {"low": [CLIP, 0.5 * CLIP[::-1]], "high": [CLIP[::3], CLIP[::4]]}


class Profiles:
    """Profiles, opened with the bundle that made them, reported, used, calibrated and saved again."""

    def __init__(self, work: Path) -> None:
        self._seeds = [path.read_bytes() for path in sorted((work / "seeds" / "profiles").iterdir())]
        self._engine = Engine.open(_bundles(work)[0], provider="cpu", threads=1)
        self._embedding = self._engine.embed(CLIP)
        self._path = _scratch(work, "profiles") / "profile.safetensors"

    def __call__(self, seed: int) -> None:
        """One damaged profile."""
        rng = random.Random(f"profile {seed}")
        content, other = rng.choice(self._seeds), rng.choice(self._seeds)
        content = changed_tensors(content, rng) if rng.random() < 0.6 else damaged(content, other, rng)
        if rng.random() < SEALED_SHARE:
            with suppress(ValueError):  # it has no place for a hash
                content = sealed(content)
        self._path.write_bytes(content)
        profile = self._engine.open_profile(self._path)
        _check(self._engine.decide(self._embedding, profile))
        self._engine.report(profile)
        clips = [asdict(replace(clip, contour=None)) for clip in profile.clips]
        as_json([asdict(profile.calibration), asdict(profile.reliability), clips])
        if seed % CALIBRATED_EVERY == 0:
            profile = self._engine.calibrate(profile, false_accepts=0.2)
        profile.save(self._path)
        _check(self._engine.decide(self._embedding, Profile.load(self._path)))


class Bundles:
    """Bundles with one damaged file, opened, described, verified and used."""

    names: tuple[str, ...] = (MANIFEST, MANIFEST, "head.safetensors", "golden.safetensors", "*")

    def __init__(self, work: Path) -> None:
        self._bundles = _bundles(work)
        self._folder = _scratch(work, type(self).__name__) / "bundle"

    def __call__(self, seed: int) -> None:
        """One damaged bundle."""
        rng = random.Random(f"{type(self).__name__} {seed}")
        shipped = [folder for folder in self._bundles if folder.name == SHIPPED]
        small = [folder for folder in self._bundles if folder.name != SHIPPED]
        source = rng.choice(shipped if shipped and seed % SHIPPED_EVERY == 0 else small)
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(source, self._folder)
        name = rng.choice([name for name in self.names if name == "*" or (source / name).is_file()])
        path = self._folder / (rng.choice(sorted(file.name for file in source.iterdir())) if name == "*" else name)
        if rng.random() < WHOLE_FILE:
            self._replace(path, rng)
        else:
            path.write_bytes(self.change(path, (rng.choice(small) / path.name), rng))
        if rng.random() < REPAIRED:
            repair_hashes(self._folder)
        self.use(self._folder)

    def change(self, path: Path, other: Path, rng: random.Random) -> bytes:
        """New content for a file."""
        content = path.read_bytes()
        if rng.random() < 0.7 and path.suffix == ".json":
            return changed_json(content, rng)
        if rng.random() < 0.7 and path.suffix == ".safetensors":
            return changed_tensors(content, rng)
        return damaged(content, other.read_bytes() if other.is_file() else content, rng)

    def use(self, folder: Path) -> None:
        """Use a bundle like a user."""
        engine = Engine.open(folder, provider="cpu", threads=1)
        as_json(asdict(engine.bundle.manifest))
        profile = engine.enroll(SUPPORT)
        _check(engine.classify(CLIP, profile))
        settings = replace(HeadTuningSettings.of_manifest(engine.bundle.manifest.tuning), steps=2)
        if TUNE_GRAPH in engine.bundle.manifest.files:
            tuned = engine.tune(profile, SUPPORT, force=True, settings=settings).profile
            _check(engine.classify(CLIP, tuned))
        engine.verify()

    @staticmethod
    def _replace(path: Path, rng: random.Random) -> None:
        """Replace a file by nothing, a link, a folder, or another file."""
        path.unlink()
        kind = rng.randrange(4)
        if kind == 0:
            path.symlink_to(rng.choice(("/etc/passwd", "/dev/zero", path.name, "../missing", "LICENSE")))
        elif kind == 1:
            path.mkdir()
        elif kind == 2:
            shutil.copy(rng.choice([each for each in path.parent.iterdir() if each.is_file()]), path)


class Graphs(Bundles):
    """Bundles with one damaged graph: its bytes, or its content in a valid protobuf."""

    names = ("encoder.onnx", "head.onnx", "tune.onnx")

    def change(self, path: Path, other: Path, rng: random.Random) -> bytes:
        """New content for a graph."""
        from benchmarks.robustness.graphs import changed_graph

        return changed_graph(path.read_bytes(), rng) if rng.random() < 0.7 else super().change(path, other, rng)


class Sounds:
    """Recordings of all formats, read like clips, or through a pipe."""

    def __init__(self, work: Path) -> None:
        self._seeds = sorted(path for path in (work / "seeds" / "sounds").iterdir())
        self._folder = _scratch(work, "sounds")

    def __call__(self, seed: int) -> None:
        """One damaged recording."""
        rng = random.Random(f"sound {seed}")
        source, other = rng.choice(self._seeds), rng.choice(self._seeds)
        content = damaged(source.read_bytes(), other.read_bytes(), rng)
        if rng.random() < PIPED:
            form = RawFormat(rng.choice((8000, 16_000, 48_000)), rng.choice((1, 2)), rng.choice(list(FORMATS)))
            read_pipe(content, form, live=rng.random() < 0.2)
            return
        path = self._folder / f"clip{rng.choice((source, other)).suffix}"
        path.write_bytes(content)
        assert AudioFile(path).duration_s() >= 0
        loaded = read_audio(path).waveform
        assert loaded.dtype == np.float32
        assert np.isfinite(loaded).all()


class Settings:
    """Settings of a training run in TOML, read, prepared, and tested on one episode."""

    def __init__(self, work: Path) -> None:
        from metaser.toolkit.training import train  # noqa: F401 # so that memory is counted without its import

        self._seeds = sorted((work / "seeds" / "configs").iterdir())
        self._folder = _scratch(work, "settings")

    def __call__(self, seed: int) -> None:
        """One damaged file of settings."""
        from benchmarks.robustness.training import changed_settings, try_settings

        path = self._folder / "run.toml"
        rng = random.Random(f"settings {seed}")
        path.write_bytes(changed_settings(rng.choice(self._seeds), rng))
        try_settings(path, self._folder / "run")


class Checkpoints:
    """Encoders in the hub's layout, checkpoints and states of training, opened and used."""

    def __init__(self, work: Path) -> None:
        from benchmarks.robustness.training import open_seeds

        self._seeds = open_seeds(work / "seeds")
        self._folder = _scratch(work, "checkpoints")

    def __call__(self, seed: int) -> None:
        """One damaged folder."""
        from benchmarks.robustness.training import damage_folder, use_folder

        rng = random.Random(f"checkpoint {seed}")
        source = rng.choice(self._seeds)
        folder = self._folder / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        damage_folder(folder, rng.choice(self._seeds), rng)
        use_folder(folder, rng)


KINDS: dict[str, Callable[[Path], Case]] = {
    "profile": Profiles, "bundle": Bundles, "graph": Graphs, "sound": Sounds, "checkpoint": Checkpoints,
    "settings": Settings,
}  # fmt: skip


def repair_hashes(folder: Path) -> None:
    """Write the actual sizes and hashes of the files into the manifest, if it can be read."""
    path = folder / MANIFEST
    if path.is_symlink():
        return
    with suppress(ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        document = json.loads(path.read_text(encoding="utf-8"))
        for name, entry in document["files"].items():
            file = folder / Path(name).name
            if file.is_file():
                entry.update(sha256=sha256_of(file), size_bytes=file.stat().st_size)
        path.write_text(json.dumps(document), encoding="utf-8")


def read_pipe(content: bytes, form: RawFormat, *, live: bool) -> None:
    """Read bytes as sound from a pipe."""
    reading, writing = os.pipe()
    writer = threading.Thread(target=_write_all, args=(writing, content))
    writer.start()
    try:
        piped = PipedAudio(reading, form, live=live)
        for chunk in LivePipe(piped, ring_s=1.0) if live else piped:
            assert np.isfinite(chunk.samples).all()
    finally:
        os.close(reading)
        writer.join()


def as_json(value: object) -> None:
    """The output of `--json` must be JSON, which has no NaN."""
    json.loads(json.dumps(value), parse_constant=_no_number)


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} in JSON")


def _write_all(descriptor: int, content: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as pipe:
        pipe.write(content)


def _check(decision: Decision) -> None:
    assert 0 <= decision.confidence <= 1, decision
    assert abs(sum(decision.scores.values()) - 1) < 1e-3 or decision.label is None, decision


def _bundles(work: Path) -> list[Path]:
    return sorted((work / "seeds" / "bundles").iterdir(), key=lambda path: (path.name == SHIPPED, path.name))


def _scratch(work: Path, name: str) -> Path:
    folder = work / "scratch" / f"{name}-{os.getpid()}"  # several workers may run cases of one kind
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
