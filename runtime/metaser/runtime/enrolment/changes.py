"""Changes of a profile: calibrating it, adding and removing clips, embedding its clips again.

Other speech and noise is kept as embedded by the active head. If a change activates another head, it is embedded again
from its files, and left out if they are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metaser.runtime.arguments import check, check_type
from metaser.runtime.arrays import HeadParameters
from metaser.runtime.enrolment.clip import Clip, with_tidy_label
from metaser.runtime.enrolment.copies import check_others, without_copies
from metaser.runtime.enrolment.embed import EmbeddedClips, embed_clips
from metaser.runtime.enrolment.find_clips import FoundClips, find_clips
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.enrolment.support import Progress, SupportClip, read_others
from metaser.runtime.errors import SupportError
from metaser.runtime.scoring.calibration import CalibrationInputs, ExpectedRates, calibrate
from metaser.runtime.scoring.leave_one_out import cross_fit
from metaser.runtime.words import counted

if TYPE_CHECKING:
    from metaser.runtime.model.model import Model

MOST = 0.5

LIMITS = (None, 0.5, 0.3, 0.2, 0.1, 0.05)
"""Limits of false accepts to choose from; None: only doubtful answers are unknown."""


def calibrate_profile(
    model: Model, profile: Profile, *, false_accepts: float | None = None, others: EmbeddedClips | None = None
) -> Profile:
    """The profile with temperature and thresholds from its own clips by leave-one-out."""
    check(false_accepts=false_accepts)
    if others is not None:
        check_type(others, "others", EmbeddedClips, "give engine.embed_others(folder, profile)")
        check_others(others, profile)
        profile = replace(profile, others=others.clips, other_embeddings=others.embeddings)
    embedded = profile.other_embeddings
    calibration, reliability = calibrate(
        CalibrationInputs(
            fitted=profile.cross_fitted,
            untuned=cross_fit(profile.embeddings, profile.targets) if profile.tuned else profile.cross_fitted,
            shots=float(np.median(np.bincount(profile.targets))),
            others=np.zeros(0) if embedded is None else profile.classifier.cosines(embedded).max(axis=1),
            scale=profile.scale(model.bundle.scale),
            base=model.bundle.manifest.calibration,
            prior=model.bundle.manifest.prior,
        ),
        false_accepts,
    )
    return replace(profile, calibration=calibration, reliability=reliability)


def most_rejected(profile: Profile) -> str | None:
    """A sentence, if most correct labels of a calibrated profile are expected to become unknown."""
    rejects = profile.reliability.false_rejects
    if rejects is None or rejects <= MOST:
        return None
    if profile.others:
        return "Most correct labels become unknown. Is speech of the enrolled people among the background clips?"
    return "Most correct labels become unknown: allow more false accepts."


def calibration_choices(model: Model, profile: Profile) -> list[ExpectedRates]:
    """The expected rates of limits of false accepts that can be chosen, the loosest first; empty for too few clips."""
    current = profile.reliability.wanted_false_accepts
    limits = sorted({*LIMITS, current}, key=lambda limit: 1 if limit is None else limit, reverse=True)
    found = [calibrate_profile(model, profile, false_accepts=limit).reliability for limit in limits]
    return [each for each in found if each.false_accepts is not None and each.false_rejects is not None]


def recalibrate(model: Model, changed: Profile, before: Profile) -> Profile:
    """A changed profile, with the same kind of calibration as before."""
    others = None
    if before.others and (changed.tuned is not before.tuned or changed.graph_id != before.graph_id):
        changed = changed.without_others()
        if there := find_clips(before.others).clips:
            others = embed_files(model, there, None, changed.head)
    return calibrate_profile(model, changed, false_accepts=before.reliability.wanted_false_accepts, others=others)


def new_profile(model: Model, support: EmbeddedClips) -> Profile:
    """A calibrated profile of these clips."""
    manifest = model.bundle.manifest
    return calibrate_profile(
        model,
        Profile(
            model_id=manifest.model_id,
            graph_id=manifest.graph_id,
            bundle_name=manifest.name,
            calibration=manifest.calibration,
            clips=support.clips,
            embeddings=support.embeddings,
        ),
    )


def reenroll(model: Model, before: Profile, found: FoundClips | None, progress: Progress | None) -> Profile:
    """A profile of the model's bundle from the clips of another bundle's profile, at the paths that were found."""
    if found is not None:
        check_type(found, "found", FoundClips, "give find_clips(profile.clips, folder)")
    else:
        found = find_clips(before.clips)
        if found.lost:
            raise SupportError(
                f"{len(found.lost)} of {counted(len(before.clips), 'clip')} have changed or are gone, such as "
                f"{found.lost[0].title}: look for them with find_clips(profile.clips, FOLDER), and pass the result"
            )
    if len({clip.label for clip in found.clips}) < 2:
        raise SupportError("clips of fewer than two classes were found: enrol again from a folder of clips")
    clips = [with_tidy_label(clip) for clip in found.clips]
    return recalibrate(model, new_profile(model, embed_files(model, clips, progress)), before)


def embed_others(model: Model, folder: str | Path, profile: Profile, progress: Progress | None = None) -> EmbeddedClips:
    """Embed other speech and noise for `calibrate` by the active head; unusable clips are reported, not raised."""
    found = read_others(folder)
    read = embed_clips(found.clips, lambda waveform: model.embed(waveform, profile.head), progress, model.workers)
    if not read.clips:
        return read.checked()
    read = replace(read, left_out=found.left_out, model_id=model.bundle.manifest.model_id)
    return without_copies(read, "used")


def embed_files(
    model: Model, clips: Sequence[Clip], progress: Progress | None, head: HeadParameters | None = None
) -> EmbeddedClips:
    """Embed the files of clips, by the bundle's head or with other parameters."""
    found = [SupportClip(clip) for clip in clips]
    return embed_clips(found, lambda waveform: model.embed(waveform, head), progress, model.workers).checked()
