"""Open a bundle for a command; a licence that restricts use is printed once, at the first use of the model."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from metaser.cli.view.console import print_status

if TYPE_CHECKING:
    from pathlib import Path

    from metaser.cli.options import Provider
    from metaser.runtime import Engine
    from metaser.runtime.bundles.manifest import Manifest


def bundle_for(bundle: str | None, profile: Path) -> str | None:
    """The bundle of a command that reads a profile: the given one, else the shipped one that made the profile."""
    if bundle is not None:
        return bundle
    from metaser.runtime import MetaserError, Profile, shipped_bundles

    try:
        name = Profile.load(profile).bundle_name
    except MetaserError:  # reported when the profile is opened
        return None
    return name if name in shipped_bundles() else None


def open_engine(bundle: str | None, provider: Provider, threads: int | None, workers: int = 1) -> Engine:
    """Open the engine that a command's options select.

    Raises:
        MetaserError: as `Engine.open`.
    """
    from metaser.runtime import Engine

    engine = Engine.open(bundle, provider=provider.value, threads=threads, workers=workers, notify=print_status)
    tell_licence(engine.bundle.manifest)
    return engine


def open_engine_for_clips(bundle: str | None, provider: Provider, threads: int | None) -> Engine:
    """Open the engine for many clips: `threads` workers with one thread each, by default one worker per core.

    Raises:
        MetaserError: as `Engine.open`.
    """
    from metaser.runtime import InputError
    from metaser.runtime.system.cores import best_threads

    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}: give 1 or more")
    return open_engine(bundle, provider, 1, workers=threads or best_threads())


def tell_licence(manifest: Manifest) -> None:
    """Print one line on standard error at the first use of a model whose licence restricts use.

    It is printed again if the first use cannot be recorded on disk.
    """
    from metaser.runtime.bundles.licences import is_permissive, what_it_allows
    from metaser.runtime.errors import MetaserError, WorkError
    from metaser.runtime.system.files import replace_text
    from metaser.runtime.words import plain

    if is_permissive(manifest.licence):
        return
    with suppress(WorkError, OSError):
        if told_path(manifest).is_file():
            return
    line = f"Licence of the bundle {manifest.name}: {manifest.licence}, {what_it_allows(manifest.licence)}. Shown once."
    print_status(line)
    with suppress(MetaserError):
        replace_text(told_path(manifest), f"{plain(line)}\n")


def told_path(manifest: Manifest) -> Path:
    """The file that marks the licence of a model as already printed.

    Raises:
        WorkError: there is no folder to store it in.
    """
    from metaser.runtime.system.user_folders import state_folder

    name = hashlib.sha256(f"{manifest.licence} {manifest.model_id}".encode()).hexdigest()[:16]
    return state_folder() / "licences" / f"{name}.txt"
