"""Copies among clips: a recording counts once, also in another format, at another volume or cut to a part.

Two copies would vouch for each other when one of them is left out, and a profile of copies would look reliable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from metaser.runtime.audio.contour import Contour, contour_of, is_copy
from metaser.runtime.audio.load import read_audio
from metaser.runtime.audio.trim import utterances_in, without_pauses
from metaser.runtime.enrolment.clip import Clip, enrolled_elsewhere
from metaser.runtime.enrolment.embed import EmbeddedClips
from metaser.runtime.enrolment.find_clips import is_there
from metaser.runtime.enrolment.support import LISTED
from metaser.runtime.errors import AudioError, NotFoundError, SupportError
from metaser.runtime.words import counted, listed

Known = Sequence[tuple[Clip, Contour]]
"""Clips that are enrolled, with their contours."""


def without_copies(read: EmbeddedClips) -> EmbeddedClips:
    """The clips without copies of others of their class; the longest, loudest is kept, and a notice names the others.

    Raises:
        SupportError: one recording is in two classes.
    """
    copies_of: dict[int, list[str]] = {}
    mixed: list[str] = []
    for row in sorted(range(len(read.clips)), key=lambda row: _worth(read.clips[row], read.contours[row])):
        originals = [kept for kept in copies_of if _are_copies(read.contours[row], read.contours[kept])]
        titles = [read.clips[row].title, *read.clips[row].copies]
        if others := [kept for kept in originals if read.clips[kept].label != read.clips[row].label]:
            mixed.append(", ".join(sorted((read.clips[others[0]].title, titles[0]))))
        if originals:
            copies_of[originals[0]] += titles
        else:
            copies_of[row] = titles[1:]
    if mixed:
        raise SupportError(
            f"the same recording is in two classes ({listed(sorted(mixed), LISTED, '; ')}): keep it in one"
        )
    kept = read.rows(sorted(copies_of))
    clips = tuple(replace(read.clips[row], copies=tuple(copies_of[row])) for row in sorted(copies_of))
    copied = [f"{copy} ({clip.title})" for clip in clips for copy in clip.copies]
    which = (
        "is a copy of another of its class, perhaps in another format or cut, and is"
        if len(copied) == 1
        else "are copies of others of their class, perhaps in other formats or cut, and are"
    )
    notices = [f"{counted(len(copied), 'clip')} {which} not enrolled: {listed(copied, LISTED)}"] if copied else []
    return replace(kept, clips=clips, notices=(*read.notices, *notices))


def enrolled_copies(read: EmbeddedClips, enrolled: Sequence[Clip]) -> dict[int, Clip]:
    """The rows of clips that are enrolled, or are copies of an enrolled clip whose file is unchanged; and which."""
    same = {clip.sha256: clip for clip in enrolled}
    found = {row: same[clip.sha256] for row, clip in enumerate(read.clips) if clip.sha256 in same}
    unsure = [row for row in range(len(read.clips)) if row not in found and read.contours[row] is not None]
    known = list(_contours_of(enrolled)) if unsure else []
    for row in unsure:
        for clip, contour in known:
            if _are_copies(read.contours[row], contour):
                found[row] = clip
                break
    return found


def without_enrolled(read: EmbeddedClips, enrolled: Sequence[Clip]) -> EmbeddedClips:
    """The clips without those that are enrolled already; a notice names copies, and says if nothing is new.

    Raises:
        SupportError: one of them is enrolled in another class.
    """
    found = enrolled_copies(read, enrolled)
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
    if read.clips and len(found) == len(read.clips):
        which = "is" if len(found) == 1 else "are all"
        notices.append(f"Nothing is new: {counted(len(found), 'clip')} {which} enrolled already")
    same = {clip.sha256 for clip in enrolled}
    kept = [row for row, clip in enumerate(read.clips) if row not in found or clip.sha256 in same]
    return replace(read.rows(kept), notices=tuple(notices))


def _contours_of(clips: Sequence[Clip]) -> Iterator[tuple[Clip, Contour]]:
    """The contours of enrolled clips whose files have the content that was enrolled."""
    for clip in clips:
        if not is_there(clip):
            continue
        try:
            waveform = read_audio(clip.path).waveform
        except (AudioError, NotFoundError, OSError):
            continue
        if utterances := utterances_in(waveform):
            yield clip, contour_of(without_pauses(waveform, utterances))


def _are_copies(a: Contour | None, b: Contour | None) -> bool:
    return a is not None and b is not None and is_copy(a, b)


def _worth(clip: Clip, contour: Contour | None) -> tuple[int, int, str]:
    """By which the copy to keep is the first: the longest, then the loudest."""
    level_dbfs = round(clip.quality.level_dbfs) if clip.quality else 0
    return 0 if contour is None else -contour.shape[1], -level_dbfs, clip.title
