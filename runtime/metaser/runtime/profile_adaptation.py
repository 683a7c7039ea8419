"""Tuning a profile's head: the frames of its clips, the tuning with its guard, and the profile that results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from metaser.runtime.adaptation import Adapter, Guard
from metaser.runtime.arrays import Frames, Waveform
from metaser.runtime.bundle import sha256_of
from metaser.runtime.enrolment import Progress, Support, read_support
from metaser.runtime.errors import BundleError, SupportError
from metaser.runtime.head_tuning import ADAPT_GRAPH, AdaptationSettings, HeadTuner, SupportFrames
from metaser.runtime.profile import Clip, Profile
from metaser.runtime.profile_changes import settle
from metaser.runtime.recordings import cannot_be_read
from metaser.runtime.session import check_finite
from metaser.runtime.speech import load_speech, speech_in
from metaser.runtime.tuned_head import TunedHead
from metaser.runtime.workers import in_order

if TYPE_CHECKING:
    from metaser.runtime.model import Model


@dataclass(frozen=True)
class Adapted:
    """A profile after tuning, and how the guard judged."""

    profile: Profile
    """With the tuned head where it was kept, else with the bundle's own."""
    guard: Guard | None
    """None where a class has a single clip."""

    @property
    def kept(self) -> bool:
        """Whether the profile has a tuned head."""
        return self.profile.tuned is not None


def adapter_of(model: Model, temperature: float, settings: AdaptationSettings | None = None) -> Adapter:
    """What tunes the head of a model's bundle, by the settings of its manifest unless others are given.

    Raises:
        BundleError: the bundle has no adaptation graph.
    """
    bundle = model.bundle
    if ADAPT_GRAPH not in bundle.manifest.files:
        raise BundleError(f"{bundle.folder} has no {ADAPT_GRAPH} and its head cannot be tuned: export the bundle again")
    return Adapter(
        tuner=HeadTuner(bundle.folder / ADAPT_GRAPH, model.threads),
        pool=lambda head, support: model.pool_batch(support.frames, support.mask, head),
        head=bundle.head_parameters,
        temperature=temperature,
        settings=settings or AdaptationSettings.of_manifest(bundle.manifest.tuning),
    )


def adapt_profile(  # noqa: PLR0913 # four of the six are options
    model: Model,
    profile: Profile,
    samples: Mapping[str, Waveform],
    *,
    force: bool,
    settings: AdaptationSettings | None,
    progress: Progress | None,
) -> Adapted:
    """Tune the head on a profile's clips, always from the bundle's own head and at the bundle's temperature.

    Parameters:
        samples: the enrolled arrays by their hash.
    """
    adapter = adapter_of(model, model.bundle.manifest.calibration.temperature, settings)

    def frames_of(clip: Clip) -> npt.NDArray[np.float16]:
        return _half(model.frames(_waveform(clip, samples)[: model.max_samples]))  # its first window

    clips = []
    for done, frames in enumerate(in_order(frames_of, profile.clips, model.workers), start=1):
        clips.append(frames)
        if progress:
            progress(done, len(profile.clips))
    inner = SupportFrames.of(clips, profile.targets)
    found = adapter.adapt(inner, force=force)
    tuned = None
    if found.head is not None:
        tuned = TunedHead(
            clips=tuple(clip.sha256 for clip in profile.clips),
            parameters=found.head,
            embeddings=adapter.pool(found.head, inner),
            frames=np.concatenate(clips),
            lengths=inner.lengths,
            guard=found.guard,
            cross_fitted=None if found.cosines is None else found.cosines.astype(np.float32),
        )
    return Adapted(settle(model, replace(profile, tuned=tuned), profile), found.guard)


def enrolled_arrays(support: Support | None, sample_rate_hz: int) -> dict[str, Waveform]:
    """The enrolled arrays by their hash; files are read where they lie."""
    clips = read_support(support, sample_rate_hz=sample_rate_hz).clips if isinstance(support, Mapping) else ()
    return {clip.clip.sha256: clip.samples for clip in clips if clip.samples is not None}


def _waveform(clip: Clip, samples: Mapping[str, Waveform]) -> Waveform:
    if clip.sha256 in samples:
        return speech_in(samples[clip.sha256])
    path = Path(clip.path)
    try:
        if clip.path and path.is_file() and sha256_of(path) == clip.sha256:
            return load_speech(path)
    except OSError as error:
        raise SupportError(f"{clip.title} {cannot_be_read(error)} and tuning needs it") from error
    raise SupportError(f"{clip.title} is not where it was enrolled from and tuning needs it: enrol again with --adapt")


def _half(frames: Frames) -> npt.NDArray[np.float16]:
    """Frames as a profile keeps them."""
    with np.errstate(over="ignore"):
        halves = frames.astype(np.float16)
    check_finite(halves, "the output of the encoder, in float16,")
    return halves
