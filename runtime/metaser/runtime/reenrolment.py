"""Renewing a profile after a new bundle: the clips that are still where they were are embedded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.runtime.bundle import sha256_of
from metaser.runtime.embedded import EmbeddedClips, embed_clips
from metaser.runtime.enrolment import AUDIO_SUFFIXES, Progress, SupportClip
from metaser.runtime.errors import SupportError
from metaser.runtime.profile import Clip, Profile

if TYPE_CHECKING:
    from metaser.runtime.engine import Engine


@dataclass(frozen=True, eq=False)
class FoundClips:
    """Where the clips of a profile are now."""

    clips: tuple[Clip, ...]
    """At the path where they are now."""

    moved: tuple[tuple[Clip, str], ...]
    """Clips that were found elsewhere, with their new path."""

    changed: tuple[Clip, ...]
    """Clips whose file has another content now."""

    missing: tuple[Clip, ...]
    """Clips without a file, and those that were enrolled as arrays."""

    @property
    def lost(self) -> tuple[Clip, ...]:
        """Clips that cannot be embedded again."""
        return (*self.changed, *self.missing)


def find_clips(clips: Sequence[Clip], folder: Path | None = None) -> FoundClips:
    """Look for clips by content, first at their own path, then anywhere below `folder`."""
    state = {clip.sha256: _state(clip) for clip in clips}
    elsewhere: dict[str, str] = {}
    if folder is not None and any(found != "there" for found in state.values()):
        files = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
        for path in files:
            elsewhere.setdefault(sha256_of(path), str(path.resolve()))
    there = [clip for clip in clips if state[clip.sha256] == "there"]
    gone = [clip for clip in clips if state[clip.sha256] != "there"]
    moved = [(clip, elsewhere[clip.sha256]) for clip in gone if clip.sha256 in elsewhere]
    lost = [clip for clip in gone if clip.sha256 not in elsewhere]
    return FoundClips(
        clips=(*there, *(replace(clip, path=path, name=Path(path).name) for clip, path in moved)),
        moved=tuple(moved),
        changed=tuple(clip for clip in lost if state[clip.sha256] == "changed"),
        missing=tuple(clip for clip in lost if state[clip.sha256] == "missing"),
    )


def reenroll_profile(engine: Engine, profile: Profile, found: FoundClips, progress: Progress | None) -> Profile:
    """A profile of the engine's bundle from found clips, with the old one's wish and other speech; see `Engine`."""
    if len({clip.label for clip in found.clips}) < 2:
        raise SupportError("clips of fewer than two classes were found: enrol again from a folder of clips")

    def embed(clips: Sequence[Clip], progress: Progress | None) -> EmbeddedClips:
        return embed_clips([SupportClip(clip) for clip in clips], engine.embed, progress).checked()

    renewed = engine.new_profile(embed(found.clips, progress))
    still_there = find_clips(profile.others).clips
    others = embed(still_there, None) if still_there else None
    return engine.calibrate(renewed, false_accepts=profile.reliability.wanted_false_accepts, others=others)


def _state(clip: Clip) -> str:
    path = Path(clip.path)
    if not clip.path or not path.is_file():
        return "missing"
    return "there" if sha256_of(path) == clip.sha256 else "changed"
