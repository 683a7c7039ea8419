"""Calibrating a profile: its own clips and other speech as evidence, and the thresholds that follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metaser.runtime.bundle import Bundle
from metaser.runtime.calibration import Evidence, calibrate
from metaser.runtime.cross_fitting import cross_fit
from metaser.runtime.decision import cosines
from metaser.runtime.embedded import EmbeddedClips
from metaser.runtime.errors import InputError, ProfileError
from metaser.runtime.profile import Profile, check_others


def calibrate_profile(
    profile: Profile, bundle: Bundle, false_accepts: float | None, others: EmbeddedClips | None
) -> Profile:
    """The profile with temperature and thresholds; the parameters are those of `Engine.calibrate`.

    A tuned head has seen every clip, so nothing can be left out of it: such a profile is refused.
    """
    if false_accepts is not None and not 0 < false_accepts < 1:
        raise InputError(f"a false-accept rate of {false_accepts:g}: give one between 0 and 1, such as 0.05")
    if profile.tuned:
        raise ProfileError(
            "the head of this profile is tuned on its clips, which say nothing of others then: "
            "enrol again without --adapt to calibrate"
        )
    if others is not None:
        check_others(others.clips, profile)
        profile = replace(profile, others=others.clips, other_embeddings=others.embeddings)
    embedded = profile.other_embeddings
    calibration, reliability = calibrate(
        Evidence(
            fitted=cross_fit(profile.embeddings, profile.targets),
            shots=float(np.median(np.bincount(profile.targets))),
            others=np.zeros(0) if embedded is None else cosines(embedded, profile.prototypes).max(axis=1),
            scale=bundle.scale,
            base=bundle.manifest.calibration,
            prior=bundle.manifest.prior,
        ),
        false_accepts,
    )
    return replace(profile, calibration=calibration, reliability=reliability)
