"""Opening a bundle for a command; a licence that allows less than any use is told once, at its first use."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from metaser.cli.console import plain, tell

if TYPE_CHECKING:
    from pathlib import Path

    from metaser.cli.options import Provider
    from metaser.runtime import Engine
    from metaser.runtime.manifest import Manifest


def open_engine(bundle: str | None, provider: Provider, threads: int | None) -> Engine:
    """The engine that a command's options ask for.

    Raises:
        MetaserError: as `Engine.open`.
    """
    from metaser.runtime import Engine

    engine = Engine.open(bundle, provider=provider.value, threads=threads, say=tell)
    tell_licence(engine.bundle.manifest)
    return engine


def tell_licence(manifest: Manifest) -> None:
    """One line on standard error for a model that nobody was told of yet; told again where that cannot be kept."""
    from metaser.runtime.licences import is_permissive, what_it_allows

    told = told_path(manifest)
    if is_permissive(manifest.licence) or told.is_file():
        return
    line = f"Licence of the bundle {manifest.name}: {manifest.licence}, {what_it_allows(manifest.licence)}. Told once."
    tell(line)
    with suppress(OSError):
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(f"{plain(line)}\n", encoding="utf-8")


def told_path(manifest: Manifest) -> Path:
    """The file whose being there means that a model's licence was told."""
    from platformdirs import user_state_path

    name = hashlib.sha256(f"{manifest.licence} {manifest.model_id}".encode()).hexdigest()[:16]
    return user_state_path("metaser") / "licences" / f"{name}.txt"
