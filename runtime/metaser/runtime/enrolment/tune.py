"""Tuning a profile's head: the frames of its clips, the tuning with its guard, and the profile that results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check_type
from metaser.runtime.arrays import Frames, Waveform
from metaser.runtime.audio.recordings import cannot_be_read
from metaser.runtime.audio.samples import check_rate
from metaser.runtime.audio.trim import load_speech, speech_in
from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.enrolment.changes import recalibrate
from metaser.runtime.enrolment.clip import LISTED, Clip
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.enrolment.support import Progress, Support, read_support
from metaser.runtime.errors import BundleError, SupportError
from metaser.runtime.providers.session import check_finite
from metaser.runtime.system.workers import in_order
from metaser.runtime.tuning.guard import Guard, GuardedTuner
from metaser.runtime.tuning.head import TUNE_GRAPH, HeadTuner, HeadTuningSettings, SupportFrames
from metaser.runtime.tuning.tuned_head import TunedHead
from metaser.runtime.words import counted, listed

if TYPE_CHECKING:
    from metaser.runtime.model.model import Model


@dataclass(frozen=True)
class TunedProfile:
    """A profile after tuning, and the guard's measurement."""

    profile: Profile
    """The profile, with the tuned head if it was kept, else with the bundle's own."""
    guard: Guard | None
    """None if a class has a single clip."""

    @property
    def kept(self) -> bool:
        """Whether the profile has a tuned head."""
        return self.profile.tuned is not None


def tuner_of(model: Model, temperature: float, settings: HeadTuningSettings | None = None) -> GuardedTuner:
    """The tuner of a bundle's head; without `settings`, by those of its manifest.

    Raises:
        BundleError: the bundle has no tuning graph.
    """
    bundle = model.bundle
    if TUNE_GRAPH not in bundle.manifest.files:
        raise BundleError(f"{bundle.folder} has no {TUNE_GRAPH}, so its head cannot be tuned: export the bundle again")
    return GuardedTuner(
        head_tuner=HeadTuner(bundle.folder / TUNE_GRAPH, model.threads),
        pool=lambda head, support: model.pool_batch(support.frames, support.mask, head),
        head=bundle.head_parameters,
        temperature=temperature,
        settings=settings or HeadTuningSettings.of_manifest(bundle.manifest.tuning),
    )


def tune_profile(  # noqa: PLR0913 # four of the six are options
    model: Model,
    profile: Profile,
    samples: Mapping[str, Waveform],
    *,
    force: bool,
    settings: HeadTuningSettings | None,
    progress: Progress | None,
) -> TunedProfile:
    """Tune the head on a profile's clips, always from the bundle's own head and at the bundle's temperature.

    Parameters:
        samples: the enrolled arrays by hash.
    """
    tuner = tuner_of(model, model.bundle.manifest.calibration.temperature, settings)

    def frames_of(clip: Clip) -> npt.NDArray[np.float16]:
        return _half(model.frames(_waveform(clip, samples)[: model.max_samples]))  # its first window

    clips = []
    for done, frames in enumerate(in_order(frames_of, profile.clips, model.workers), start=1):
        clips.append(frames)
        if progress:
            progress(done, len(profile.clips))
    inner = SupportFrames.of(clips, profile.targets)
    found = tuner.tune_if_useful(inner, force=force)
    tuned = None
    if found.head is not None:
        tuned = TunedHead(
            clips=tuple(clip.sha256 for clip in profile.clips),
            parameters=found.head,
            embeddings=tuner.pool(found.head, inner),
            frames=np.concatenate(clips),
            lengths=inner.lengths,
            guard=found.guard,
            cross_fitted=None if found.cosines is None else found.cosines.astype(np.float32),
        )
    return TunedProfile(recalibrate(model, replace(profile, tuned=tuned), profile), found.guard)


def enrolled_arrays(support: Support | None, sample_rate_hz: int, profile: Profile) -> dict[str, Waveform]:
    """The enrolled arrays by hash; files are read from their own path later.

    Raises:
        InputError: the sample rate is not a whole number above 0.
        SupportError: `support` is not {label: [waveforms]}, or holds arrays that are not enrolled.
    """
    check_rate(sample_rate_hz)
    if support is None:
        return {}
    wanted = "give {label: [waveforms]} for arrays; files are read from their path at enrolment"
    check_type(support, "the support set", Mapping, wanted, SupportError)
    clips = read_support(support, command="add", sample_rate_hz=sample_rate_hz).clips
    enrolled = {clip.sha256 for clip in profile.clips}
    if others := [clip.clip.title for clip in clips if clip.clip.sha256 not in enrolled]:
        raise SupportError(
            f"{counted(len(others), 'array')} of `support` not enrolled in this profile ({listed(others, LISTED)}): "
            "give the arrays that were enrolled; files are read from their path"
        )
    return {clip.clip.sha256: clip.array.waveform for clip in clips if clip.array}


def _waveform(clip: Clip, samples: Mapping[str, Waveform]) -> Waveform:
    if clip.sha256 in samples:
        return speech_in(samples[clip.sha256])
    if not clip.path:
        raise SupportError(
            f"{clip.title} was enrolled as an array and tuning needs it: pass support={{label: [waveforms]}}"
        )
    path = Path(clip.path)
    try:
        if path.is_file() and sha256_of(path) == clip.sha256:
            return load_speech(path)
    except OSError as error:
        raise SupportError(f"{clip.title} {cannot_be_read(error)} but tuning needs it") from error
    raise SupportError(f"{clip.title} is no longer at its path and tuning needs it: enrol again with --tune")


def _half(frames: Frames) -> npt.NDArray[np.float16]:
    """Frames in the precision of a profile."""
    with np.errstate(over="ignore"):
        halves = frames.astype(np.float16)
    check_finite(halves, "the output of the encoder, in float16,")
    return halves
