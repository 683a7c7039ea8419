"""Checking that a profile was made by a bundle, or by one with the same results."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.runtime.bundles.bundle import shipped_bundles
from metaser.runtime.bundles.manifest import Manifest
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.errors import ProfileError

if TYPE_CHECKING:
    from metaser.runtime.tuning.tuned_head import TunedHead


def check_fits(profile: Profile, manifest: Manifest, name: object, *, accept_precision: bool) -> None:
    """Raise ProfileError if the bundle did not make this profile, called `name`."""
    if profile.model_id != manifest.model_id or profile.embeddings.shape[1] != manifest.head.embedding_size:
        raise ProfileError(
            f"{name} was made with the bundle {profile.bundle_name} but this is {manifest.name}, another model: "
            f"renew it with `metaser reenroll{_option(name)} --bundle {_word(manifest.name)}`, "
            f"or use it with --bundle {_word(profile.bundle_name)}"
        )
    if profile.tuned and not _head_fits(profile.tuned, manifest):
        raise ProfileError(f"the tuned head in {name} does not fit {manifest.name}: enrol again with --tune")
    if not manifest.reproduces(profile.graph_id) and not accept_precision:
        raise ProfileError(
            f"{name} was made with {profile.bundle_name}, another export of the same model as {manifest.name}: "
            f"renew it with `metaser reenroll{_option(name)} --bundle {_word(manifest.name)}`, "
            "or pass --accept-precision"
        )


def _option(name: object) -> str:
    """The option that names this profile's file, if the profile has one."""
    return f" --profile {shlex.quote(str(name))}" if isinstance(name, Path) else ""


def _word(bundle: str) -> str:
    """The value for --bundle: the name of a shipped bundle, a placeholder for any other."""
    return bundle if bundle in shipped_bundles() else "FOLDER"


def _head_fits(tuned: TunedHead, manifest: Manifest) -> bool:
    shapes = {name: list(value.shape) for name, value in tuned.parameters.items()}
    return (
        shapes == manifest.head.parameters
        and tuned.embeddings.shape[1] == manifest.head.embedding_size
        and tuned.frames.shape[1] == manifest.backbone.width
    )
