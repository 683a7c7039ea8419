"""What changes a profile: calibrating it, adding and removing clips, embedding its clips again.

Other speech and noise is kept as embedded by the head in force; where a change puts another head in force it is
embedded again from its files, and left out where they are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metaser.runtime.calibration import Evidence, calibrate
from metaser.runtime.decision import cosines
from metaser.runtime.embedded import EmbeddedClips, embed_clips
from metaser.runtime.enrolment import Progress, SupportClip, read_others
from metaser.runtime.errors import InputError, SupportError
from metaser.runtime.profile import Clip, Profile, check_others, with_tidy_label
from metaser.runtime.reenrolment import FoundClips, find_clips

if TYPE_CHECKING:
    from metaser.runtime.engine import Engine


def calibrate_profile(
    engine: Engine, profile: Profile, *, false_accepts: float | None, others: EmbeddedClips | None
) -> Profile:
    """The profile with temperature and thresholds from its own clips, left out in turn."""
    if false_accepts is not None and not 0 < false_accepts < 1:
        raise InputError(f"a false-accept rate of {false_accepts:g}: give one between 0 and 1, such as 0.05")
    if others is not None:
        check_others(others.clips, profile)
        profile = replace(profile, others=others.clips, other_embeddings=others.embeddings)
    embedded = profile.other_embeddings
    calibration, reliability = calibrate(
        Evidence(
            fitted=profile.cross_fitted,
            shots=float(np.median(np.bincount(profile.targets))),
            others=np.zeros(0) if embedded is None else cosines(embedded, profile.prototypes).max(axis=1),
            scale=engine.scale(profile),
            base=engine.bundle.manifest.calibration,
            prior=engine.bundle.manifest.prior,
        ),
        false_accepts,
    )
    return replace(profile, calibration=calibration, reliability=reliability)


def settle(engine: Engine, changed: Profile, before: Profile) -> Profile:
    """A changed profile, calibrated as the one before it was."""
    others = None
    if before.others and (changed.tuned is not before.tuned or changed.graph_id != before.graph_id):
        changed = changed.without_others()
        if there := find_clips(before.others).clips:
            others = embed_files(engine, there, None, changed)
    return calibrate_profile(engine, changed, false_accepts=before.reliability.wanted_false_accepts, others=others)


def new_profile(engine: Engine, support: EmbeddedClips) -> Profile:
    """A calibrated profile of these clips."""
    manifest = engine.bundle.manifest
    return engine.calibrate(
        Profile(
            model_id=manifest.model_id,
            graph_id=manifest.graph_id,
            bundle_name=manifest.name,
            calibration=manifest.calibration,
            clips=support.clips,
            embeddings=support.embeddings,
        )
    )


def reenroll(engine: Engine, before: Profile, found: FoundClips, progress: Progress | None = None) -> Profile:
    """A profile of the engine's bundle from the clips of another's, at the places where they were found.

    Raises:
        SupportError: fewer than two classes are left.
        AudioError: a clip cannot be used by this bundle.
    """
    if len({clip.label for clip in found.clips}) < 2:
        raise SupportError("clips of fewer than two classes were found: enrol again from a folder of clips")
    clips = [with_tidy_label(clip) for clip in found.clips]
    return settle(engine, new_profile(engine, embed_files(engine, clips, progress)), before)


def embed_others(
    engine: Engine, folder: str | Path, profile: Profile, progress: Progress | None = None
) -> EmbeddedClips:
    """Embed other speech and noise for `calibrate`, by the profile's head; what cannot be used is told, not raised.

    Raises:
        NotFoundError, SupportError: there is no such folder, or no audio in it.
        AudioError: none of it can be used.
    """
    found = read_others(folder)
    read = embed_clips(found.clips, lambda waveform: engine.embed_checked(waveform, profile), progress, engine.workers)
    return replace(read, left_out=found.left_out) if read.clips else read.checked()


def embed_files(
    engine: Engine, clips: Sequence[Clip], progress: Progress | None, profile: Profile | None = None
) -> EmbeddedClips:
    """Embed the files of clips, by a profile's head where one is given."""
    found = [SupportClip(clip) for clip in clips]
    return embed_clips(
        found, lambda waveform: engine.embed_checked(waveform, profile), progress, engine.workers
    ).checked()
