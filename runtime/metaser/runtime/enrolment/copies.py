"""Copies among clips: a recording counts once, also in another format, at another volume or speed, or cut to a part.

Two copies would vouch for each other when one of them is left out, and a profile of copies would look reliable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metaser.runtime.arrays import Embedding, Embeddings
from metaser.runtime.audio.contour import Prepared
from metaser.runtime.enrolment.clip import LISTED, Clip, enrolled_elsewhere
from metaser.runtime.enrolment.embed import EmbeddedClips
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.errors import SupportError
from metaser.runtime.words import counted, listed

NEAREST = 100
"""A clip is compared with this many others at most, the nearest by embedding."""


class Recordings:
    """Clips that others may be copies of."""

    def __init__(self, clips: Sequence[Clip], embeddings: Embeddings) -> None:
        self._clips, self._prepared = list(clips), [_prepared(clip) for clip in clips]
        self._directions = [_direction(embedding) for embedding in embeddings]

    def add(self, clip: Clip, embedding: Embedding) -> None:
        """One more recording."""
        self._clips.append(clip)
        self._prepared.append(_prepared(clip))
        self._directions.append(_direction(embedding))

    def originals(self, clip: Clip, embedding: Embedding) -> list[Clip]:
        """The recordings of which a clip is a copy, by its content or its contour."""
        same = [known for known in self._clips if known.sha256 == clip.sha256]
        prepared = _prepared(clip)
        if same or prepared is None:
            return same
        rows = range(len(self._clips))
        if len(rows) > NEAREST:
            rows = np.argsort(np.stack(self._directions) @ -_direction(embedding), kind="stable")[:NEAREST].tolist()
        found = [row for row in rows if (other := self._prepared[row]) is not None and prepared.is_copy_of(other)]
        return [self._clips[row] for row in sorted(found)]


def without_copies(read: EmbeddedClips, use: str = "enrolled") -> EmbeddedClips:
    """The clips without copies of others of their class; the longest, loudest is kept, and a notice names the others.

    Parameters:
        use: what is not done with copies, for the notice.

    Raises:
        SupportError: one recording is in two classes.
    """
    kept = Recordings((), read.embeddings[:0])
    copies_of: dict[Clip, list[str]] = {}
    mixed: list[str] = []
    rows: dict[Clip, int] = {}
    for row in sorted(range(len(read.clips)), key=lambda row: _worth(read.clips[row])):
        clip, embedding = read.clips[row], read.embeddings[row]
        originals = kept.originals(clip, embedding)
        if others := [original for original in originals if original.label != clip.label]:
            mixed.append(", ".join(sorted((others[0].title, clip.title))))
        if originals:
            copies_of[originals[0]] += [clip.title, *clip.copies]
        else:
            kept.add(clip, embedding)
            copies_of[clip], rows[clip] = list(clip.copies), row
    if mixed:
        raise SupportError(
            f"the same recording is in two classes ({listed(sorted(mixed), LISTED, '; ')}): keep it in one"
        )
    left = read.rows(sorted(rows.values()))
    clips = tuple(replace(clip, copies=tuple(copies_of[clip])) for clip in left.clips)
    copied = [f"{copy} ({clip.title})" for clip in clips for copy in clip.copies]
    which = (
        "is a copy of another, perhaps in another format or cut, and is"
        if len(copied) == 1
        else "are copies of others, perhaps in other formats or cut, and are"
    )
    notices = [f"{counted(len(copied), 'clip')} {which} not {use}: {listed(copied, LISTED)}"] if copied else []
    return replace(left, clips=clips, notices=(*read.notices, *notices))


def enrolled_copies(read: EmbeddedClips, profile: Profile) -> dict[int, Clip]:
    """The rows of clips, embedded by the active head, that are enrolled or copies of enrolled clips; and of which."""
    return _copies(read, Recordings(profile.clips, profile.embedded))


def without_enrolled(read: EmbeddedClips, profile: Profile) -> EmbeddedClips:
    """The clips, embedded by the bundle's head, without those that are enrolled; a notice names copies.

    Raises:
        SupportError: one of them is enrolled in another class, or is other speech of the profile.
    """
    for row, other in copies_of_others(read, profile).items():
        raise _is_both(other, read.clips[row].title)
    found = _copies(read, Recordings(profile.clips, profile.embeddings))
    copied = []
    for row, known in found.items():
        clip = read.clips[row]
        if clip.label != known.label:
            raise enrolled_elsewhere(clip, known)
        if clip.sha256 != known.sha256:
            copied.append(f"{clip.title} ({known.title})")
    notices = list(read.notices)
    if copied:
        which = "is a copy" if len(copied) == 1 else "are copies"
        notices.append(
            f"{counted(len(copied), 'clip')} {which} of what is enrolled, and not added: {listed(copied, LISTED)}"
        )
    same = {clip.sha256 for clip in profile.clips}
    if read.clips and len(found) == len(read.clips):
        which = "is" if len(found) == 1 else "are all"
        notices.append(f"Nothing is new: {counted(len(found), 'clip')} {which} enrolled already")
    elif again := [read.clips[row].title for row in found if read.clips[row].sha256 in same]:
        which = "is" if len(again) == 1 else "are"
        notices.append(f"{counted(len(again), 'clip')} {which} enrolled already: {listed(again, LISTED)}")
    kept = [row for row, clip in enumerate(read.clips) if row not in found or clip.sha256 in same]
    return replace(read.rows(kept), notices=tuple(notices), compared_with=profile.clips_key)


def copies_of_others(read: EmbeddedClips, profile: Profile) -> dict[int, Clip]:
    """The rows of clips, embedded by the active head, that are other speech of the profile; and which."""
    if profile.other_embeddings is None:
        return {}
    return _copies(read, Recordings(profile.others, profile.other_embeddings))


def check_others(others: EmbeddedClips, profile: Profile) -> None:
    """Raise SupportError if a clip of other speech, or a copy of it, is enrolled in a class."""
    for row, known in enrolled_copies(others, profile).items():
        raise _is_both(others.clips[row], known.title)


def _is_both(other: Clip, title: str) -> SupportError:
    return SupportError(
        f"{other.name} of the other speech is the same recording as {title}, and cannot be both: take it out of one "
        "of the two"
    )


def _copies(read: EmbeddedClips, recordings: Recordings) -> dict[int, Clip]:
    originals = (recordings.originals(clip, row) for clip, row in zip(read.clips, read.embeddings, strict=True))
    return {row: found[0] for row, found in enumerate(originals) if found}


def _prepared(clip: Clip) -> Prepared | None:
    return None if clip.contour is None else Prepared(clip.contour)


def _direction(embedding: Embedding) -> Embedding:
    return embedding / np.float32(max(float(np.linalg.norm(embedding)), 1e-12))


def _worth(clip: Clip) -> tuple[int, int, str]:
    """By which the copy to keep is the first: the longest, then the loudest."""
    level_dbfs = round(clip.quality.level_dbfs) if clip.quality else 0
    return 0 if clip.contour is None else -clip.contour.shape[1], -level_dbfs, clip.title
