"""Finding the clips of a profile, so that a new bundle can embed them again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metaser.runtime.audio.recordings import LeftOut
from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.enrolment.clip import Clip, check_clips
from metaser.runtime.enrolment.labels import tidy
from metaser.runtime.enrolment.support import hash_recordings
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.os_errors import not_found


@dataclass(frozen=True, eq=False)
class FoundClips:
    """Where the clips of a profile are now."""

    clips: tuple[Clip, ...]
    """Clips with their current path."""

    moved: tuple[tuple[Clip, str], ...]
    """Clips that were found elsewhere, with their new path."""

    changed: tuple[Clip, ...]
    """Clips whose file has another content now."""

    missing: tuple[Clip, ...]
    """Clips without a file, and those that were enrolled as arrays."""

    unreadable: tuple[Clip, ...] = ()
    """Clips whose file cannot be read."""

    left_out: tuple[LeftOut, ...] = ()
    """Parts of the folder that cannot be read and may hold clips."""

    @property
    def lost(self) -> tuple[Clip, ...]:
        """Clips that cannot be embedded again."""
        return (*self.changed, *self.missing, *self.unreadable)


def find_clips(clips: Sequence[Clip], folder: str | Path | None = None) -> FoundClips:
    """Look for clips by content, first at their own path, then anywhere below `folder`.

    Raises:
        InputError: `clips` are not clips of a profile, or `folder` is not a path.
        NotFoundError: there is no such folder.
    """
    check_clips(clips)
    below = None if folder is None else given_path(folder, "the folder")
    if below and not below.is_dir():
        raise not_found(below, "folder")
    state = {clip.sha256: _state(clip) for clip in clips}
    places: defaultdict[str, list[Path]] = defaultdict(list)
    left_out: list[LeftOut] = []
    if below and any(each != "there" for each in state.values()):
        digests, unused = hash_recordings(below)
        left_out += (each for each in unused if not each.is_other)
        for path, digest in digests.items():
            places[digest].append(path.resolve())
    elsewhere = {clip.sha256: _best(clip, places[clip.sha256]) for clip in clips if clip.sha256 in places}
    there = [clip for clip in clips if state[clip.sha256] == "there"]
    gone = [clip for clip in clips if state[clip.sha256] != "there"]
    moved = [(clip, elsewhere[clip.sha256]) for clip in gone if clip.sha256 in elsewhere]
    lost = [clip for clip in gone if clip.sha256 not in elsewhere]
    return FoundClips(
        clips=(*there, *(replace(clip, path=path, name=Path(path).name) for clip, path in moved)),
        moved=tuple(moved),
        changed=tuple(clip for clip in lost if state[clip.sha256] == "changed"),
        missing=tuple(clip for clip in lost if state[clip.sha256] == "missing"),
        unreadable=tuple(clip for clip in lost if state[clip.sha256] == "unreadable"),
        left_out=tuple(left_out),
    )


def _best(clip: Clip, places: Sequence[Path]) -> str:
    """Of several files with the content of a clip, one below a folder with its label, if there is any."""
    return str(next((path for path in places if clip.label in map(tidy, path.parts[:-1])), places[0]))


def is_there(clip: Clip) -> bool:
    """Whether the file of a clip is at its path and has the content that was enrolled."""
    return _state(clip) == "there"


def _state(clip: Clip) -> str:
    path = Path(clip.path)
    try:
        if not clip.path or not path.is_file():
            return "missing"
        return "there" if sha256_of(path) == clip.sha256 else "changed"
    except (OSError, ValueError):  # ValueError: an invalid path
        return "unreadable"
