"""Few-shot accuracy with the head tuned on each episode's support set: with a bundle as on a device, or in PyTorch.

Both paths use the same episodes, frames in float16, splits and masks, so their predictions can be compared one by one.
The tuning guard is off, so that the method alone is measured.

Letters: M clips, N frames, D frame width, E embedding size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embeddings, Frames, Waveform
from metaser.runtime.audio.recordings import cannot_be_read
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.bundles.bundle import is_bundle, sha256_of
from metaser.runtime.enrolment.support import Progress
from metaser.runtime.enrolment.tune import tuner_of
from metaser.runtime.errors import AudioError, MissingDependencyError
from metaser.runtime.model.model import Model
from metaser.runtime.tuning.head import HeadTuningSettings, SupportFrames
from metaser.runtime.tuning.steps import Method
from metaser.toolkit.data.utterances import Problem, Utterance
from metaser.toolkit.episodes.sampler import Episode, EpisodeSampler
from metaser.toolkit.evaluation.embeddings import WINDOW_S
from metaser.toolkit.evaluation.evaluate import Answers, Evaluation, answer, evaluate_by

EmbedTuned: TypeAlias = Callable[[SupportFrames, SupportFrames, int], tuple[Embeddings, Embeddings]]
"""Support, queries and a seed -> the embeddings of both by the head tuned on the support."""


@dataclass(frozen=True)
class TunableModel:
    """A model whose head can be tuned: a checkpoint or a bundle."""

    frames: Callable[[Waveform], Frames]
    """[T], at most one window -> [N, D]."""
    embed_tuned: EmbedTuned
    max_samples: int
    method: Method


@dataclass(frozen=True, eq=False)
class Framed:
    """Clips with their frames."""

    utterances: tuple[Utterance, ...]
    digests: tuple[str, ...]
    frames: tuple[npt.NDArray[np.float16], ...]
    problems: tuple[Problem, ...]
    """Clips that could not be read and are skipped."""


def open_tunable(model: str, method: Method, *, provider: str = "auto", threads: int | None = None) -> TunableModel:
    """Open a bundle, tuned by its `tune.onnx`, or a checkpoint, tuned in PyTorch; `method` splits the support sets.

    Raises:
        InputError: the folder holds neither, is damaged, or is a bundle without a tuning graph.
        MissingDependencyError: a package that the model needs is not installed.
    """
    if is_bundle(model):
        return _bundle(Model.open(model, provider=provider, threads=threads), method)
    try:
        return _checkpoint(Path(model), method)
    except ImportError as error:
        raise MissingDependencyError(f"a checkpoint needs PyTorch ({error}): pip install 'metaser[train]'") from error


def _bundle(model: Model, method: Method) -> TunableModel:
    manifest = model.bundle.manifest
    settings = replace(HeadTuningSettings.of_manifest(manifest.tuning), method=method, one_shot_method=method)
    opened = tuner_of(model, manifest.calibration.temperature, settings)

    def embed_tuned(support: SupportFrames, queries: SupportFrames, seed: int) -> tuple[Embeddings, Embeddings]:
        head = replace(opened, settings=replace(settings, seed=seed)).tune(support)
        return opened.pool(head, support), opened.pool(head, queries)

    return TunableModel(model.frames, embed_tuned, model.max_samples, method)


def _checkpoint(folder: Path, method: Method) -> TunableModel:
    import torch

    from metaser.toolkit.evaluation.tuning import TuningSettings, tune_head
    from metaser.toolkit.model.checkpoint import load_checkpoint

    network, metadata = load_checkpoint(folder)
    defaults = HeadTuningSettings()
    settings = TuningSettings(
        method, defaults.steps, defaults.learning_rate, weight_decay=defaults.weight_decay, masks=defaults.masks
    )
    with torch.no_grad():
        network.head.scale.div_(float((metadata.calibration or {}).get("temperature", 1.0)))

    def frames(waveform: Waveform) -> Frames:
        with torch.inference_mode():
            batch, _ = network.backbone(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))  # [1, N, D]
        return batch[0].numpy()

    def embed_tuned(support: SupportFrames, queries: SupportFrames, seed: int) -> tuple[Embeddings, Embeddings]:
        head = tune_head(network.head, support, settings, seed)
        with torch.inference_mode():
            rows = [head(torch.from_numpy(part.frames), torch.from_numpy(part.mask)) for part in (support, queries)]
        return rows[0].numpy(), rows[1].numpy()

    return TunableModel(frames, embed_tuned, int(WINDOW_S * SAMPLE_RATE_HZ), method)


def frame_clips(model: TunableModel, utterances: Sequence[Utterance], *, progress: Progress | None = None) -> Framed:
    """The frames of clips; longer clips are cut to the first window."""
    found: list[tuple[Utterance, str, npt.NDArray[np.float16]]] = []
    problems: list[Problem] = []
    for done, utterance in enumerate(utterances, start=1):
        try:
            frames = model.frames(load_speech(utterance.path)[: model.max_samples])
            found.append((utterance, sha256_of(utterance.path), frames.astype(np.float16)))
        except (AudioError, FileNotFoundError) as error:
            problems.append(Problem(utterance.path, str(error)))
        except OSError as error:
            problems.append(Problem(utterance.path, cannot_be_read(error)))
        if progress:
            progress(done, len(utterances))
    clips, digests, rows = zip(*found, strict=True) if found else ((), (), ())
    return Framed(tuple(clips), tuple(digests), tuple(rows), tuple(problems))


def evaluate_tuned(model: TunableModel, framed: Framed, sampler: EpisodeSampler, count: int) -> Evaluation:
    """Tune on the support set of each of `count` episodes, seeded by its number, and classify its queries."""
    seeds = iter(range(count))

    def answer_of(episode: Episode) -> Answers:
        clips = episode.support.ravel()
        support = SupportFrames.of([framed.frames[row] for row in clips], episode.support_targets)
        queries = SupportFrames.of([framed.frames[row] for row in episode.query_indices], episode.query_targets)
        own, others = model.embed_tuned(support, queries, next(seeds))
        embeddings = np.zeros((len(framed.frames), own.shape[1]), np.float32)
        embeddings[clips], embeddings[episode.query_indices] = own, others
        return answer(embeddings, episode)

    found = evaluate_by(answer_of, sampler, framed.digests, range(count))
    return replace(found, protocol={**found.protocol, "tune": model.method})
