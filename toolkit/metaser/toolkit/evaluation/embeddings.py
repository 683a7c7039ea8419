"""Embed many clips with a checkpoint or a bundle, with a disk cache keyed by model and clip content."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Embeddings, Waveform
from metaser.runtime.audio.recordings import cannot_be_read
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.bundles.bundle import is_bundle, sha256_of, shipped_bundles
from metaser.runtime.engine import Engine
from metaser.runtime.enrolment.support import Progress
from metaser.runtime.errors import AudioError, MissingDependencyError, NotFoundError, WorkError
from metaser.runtime.system.files import replace_file
from metaser.runtime.system.user_folders import cache_folder
from metaser.toolkit.data.utterances import Problem, Utterance

if TYPE_CHECKING:
    from metaser.toolkit.model.network import ProtoNet

SPEECH = "silero-6.2-float"
"""Version of the pause trimming; change it whenever the trimming, and so the embeddings, change."""

WINDOW_S = 10.0
"""A checkpoint embeds longer clips in windows, like the bundles exported from it."""


@dataclass(frozen=True)
class Embedder:
    """A model that embeds clips: a checkpoint or a bundle."""

    name: str
    form: str
    """'bundle' or 'checkpoint'."""
    key: str
    """Hexadecimal; differs whenever the embeddings differ."""
    embed: Callable[[Waveform], Embedding]
    """[T] at 16 kHz -> [E]; AudioError if the clip is too short."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Clips with their embeddings."""

    utterances: tuple[Utterance, ...]
    digests: tuple[str, ...]
    """The sha256 of each clip's file."""
    embeddings: Embeddings
    """[M, E]"""
    problems: tuple[Problem, ...]
    """Clips that could not be embedded and are skipped."""


def open_embedder(model: str | Path, *, provider: str = "auto", threads: int | None = None) -> Embedder:
    """Open a checkpoint's folder, a bundle's folder or a shipped bundle by name; only a checkpoint needs torch.

    Raises:
        NotFoundError: there is no such model.
        InputError: the folder holds neither, or is damaged.
        MissingDependencyError: a package that the model needs is not installed.
    """
    folder = Path(model)
    if is_bundle(model):
        engine = Engine.open(model, provider=provider, threads=threads)
        manifest = engine.bundle.manifest
        key = hashlib.sha256(f"{manifest.model_id}{manifest.graph_id}".encode()).hexdigest()
        return Embedder(manifest.name, "bundle", key, engine.embed)
    if not folder.is_dir():
        names = ", ".join(shipped_bundles())
        raise NotFoundError(f"no such model: {model} (the folder of a checkpoint or a bundle, or one of {names})")
    return _open_checkpoint(folder, threads)


def _open_checkpoint(folder: Path, threads: int | None) -> Embedder:
    try:
        from metaser.toolkit.model.checkpoint import load_checkpoint
        from metaser.toolkit.torch_threads import set_threads
    except ImportError as error:
        raise MissingDependencyError(f"a checkpoint needs PyTorch ({error}): pip install 'metaser[train]'") from error
    network, _ = load_checkpoint(folder)
    set_threads(threads)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    key = hashlib.sha256("".join(sha256_of(path) for path in files).encode()).hexdigest()
    return Embedder(folder.resolve().name, "checkpoint", key, lambda waveform: embed_by(network, waveform))


def embed_by(network: ProtoNet, waveform: Waveform) -> Embedding:
    """Float32 [T] at 16 kHz -> [E] by a network, in the same way as `Engine.embed`.

    Raises:
        AudioError: the clip is shorter than one frame.
    """
    import torch

    needed = network.backbone.receptive_field_samples
    if len(waveform) < needed:
        raise AudioError(f"a clip of {len(waveform)} samples is too short: the model needs {needed}")
    windows = np.array_split(waveform, math.ceil(len(waveform) / (WINDOW_S * SAMPLE_RATE_HZ)))
    with torch.inference_mode():
        rows = [network.embed(torch.from_numpy(part)[None], torch.tensor([len(part)])) for part in windows]
    return torch.cat(rows).mean(0).numpy()


def embed_clips(
    embedder: Embedder, utterances: Sequence[Utterance], *, cache: Path | None = None, progress: Progress | None = None
) -> Embedded:
    """Embed the speech of clips, or read embeddings from the cache; finished clips are saved on interruption.

    Parameters:
        cache: a folder with one file per model; by default in the user's cache folder, where writing may fail.

    Raises:
        WorkError: `cache` cannot be written.
    """
    path = (cache or cache_folder() / "embeddings") / f"{embedder.key[:32]}-{SPEECH}.safetensors"
    known = _read(path)
    before = len(known)
    clips: list[tuple[Utterance, str]] = []
    problems: list[Problem] = []
    try:
        for done, utterance in enumerate(utterances, start=1):
            try:
                digest = sha256_of(utterance.path)
                if digest not in known:
                    known[digest] = embedder.embed(load_speech(utterance.path))
                clips.append((utterance, digest))
            except (AudioError, FileNotFoundError) as error:
                problems.append(Problem(utterance.path, str(error)))
            except OSError as error:
                problems.append(Problem(utterance.path, cannot_be_read(error)))
            if progress:
                progress(done, len(utterances))
    finally:
        if len(known) > before:
            with suppress(*() if cache else (WorkError,)):
                _write(path, known)
    rows = np.stack([known[digest] for _, digest in clips]) if clips else np.zeros((0, 0), np.float32)
    return Embedded(
        tuple(utterance for utterance, _ in clips), tuple(digest for _, digest in clips), rows, tuple(problems)
    )


def _read(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Embeddings by sha256; empty if the file is missing or damaged, because they can be computed again."""
    try:
        tensors = load_file(path)
        digests = [row.tobytes().hex() for row in tensors["sha256"]]
        return dict(zip(digests, tensors["embeddings"], strict=True))
    except (FileNotFoundError, SafetensorError, KeyError, ValueError):
        return {}


def _write(path: Path, known: dict[str, npt.NDArray[np.float32]]) -> None:
    digests = np.array([list(bytes.fromhex(digest)) for digest in known], np.uint8)  # [M, 32]
    replace_file(path, save({"sha256": digests, "embeddings": np.stack(list(known.values()))}))
