"""Embedding and measuring clips for a profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metaser.runtime.arrays import Embedding, Embeddings, Waveform
from metaser.runtime.audio.contour import contour_of
from metaser.runtime.audio.quality import measure
from metaser.runtime.audio.recordings import LeftOut, cannot_be_read, summary
from metaser.runtime.audio.trim import utterances_in, without_pauses
from metaser.runtime.enrolment.clip import LISTED, Clip
from metaser.runtime.enrolment.labels import look_alikes
from metaser.runtime.enrolment.support import Progress, SupportClip
from metaser.runtime.enrolment.verdict import LEAST_CLASSES
from metaser.runtime.errors import AudioError, SupportError
from metaser.runtime.system.workers import in_order
from metaser.runtime.words import counted, listed


@dataclass(frozen=True)
class RefusedClip:
    """A clip that cannot be used."""

    clip: Clip
    error: AudioError
    """Its message begins with the clip's title."""


@dataclass(frozen=True, eq=False)
class EmbeddedClips:
    """The clips of a folder that could be used, and why the others could not."""

    clips: tuple[Clip, ...]
    embeddings: Embeddings
    """[M, E]"""

    refused: tuple[RefusedClip, ...] = ()

    left_out: tuple[LeftOut, ...] = ()
    """Files and folders that are not clips or cannot be opened."""

    notices: tuple[str, ...] = ()
    """Sentences about merged labels, about copies, and about faults of clips such as a missing part."""

    model_id: str = ""
    """The model that embedded the clips."""

    compared_with: int | None = None
    """`clips_key` of the profile that the clips were compared with; None if copies of enrolled clips may be left."""

    def rows(self, kept: Sequence[int]) -> EmbeddedClips:
        """Only these of the clips."""
        return replace(
            self,
            clips=tuple(self.clips[row] for row in kept),
            embeddings=self.embeddings[kept],
        )

    @property
    def errors(self) -> tuple[AudioError, ...]:
        """One error per clip that cannot be used."""
        return tuple(each.error for each in self.refused)

    def warnings(self, enrolled: Sequence[str] = ()) -> list[str]:
        """One sentence per notice, per group of labels that look alike, and per kind of skipped file.

        Parameters:
            enrolled: the labels of the profile that these clips are added to.
        """
        alike = look_alikes((clip.label for clip in self.clips), enrolled)
        return [*self.notices, *alike, *summary(self.left_out)]

    def faults(self) -> list[str]:
        """A sentence that names the clips with too little speech or too much noise; none if there are no such clips."""
        bad = [
            f"{clip.title} ({', '.join(clip.quality.faults())})"
            for clip in self.clips
            if clip.quality and clip.quality.is_bad
        ]
        if not bad:
            return []
        return [f"{len(bad)} of {counted(len(self.clips), 'clip')} should be recorded again: {listed(bad, LISTED)}"]

    def checked(self) -> EmbeddedClips:
        """These clips, if all could be used.

        Raises:
            AudioError: some could not; it names the first few.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            lines = [str(error) for error in self.errors]
            raise AudioError(f"{counted(len(lines), 'clip')} cannot be used: {listed(lines, LISTED, '; ')}")
        return self

    def good(self) -> tuple[EmbeddedClips, list[str]]:
        """The clips of sufficient quality, and one line per clip that was left out.

        Raises:
            SupportError: a class has no clip left.
        """
        faults = [clip.quality.faults() if clip.quality and clip.quality.is_bad else [] for clip in self.clips]
        kept = [row for row, found in enumerate(faults) if not found]
        dropped = sorted(
            [(str(each.error), each.clip.label) for each in self.refused]
            + [
                (f"{clip.title}: {', '.join(found)}", clip.label)
                for clip, found in zip(self.clips, faults, strict=True)
                if found
            ]
        )
        left = {self.clips[row].label for row in kept}
        for _, label in dropped:
            if label not in left:
                lines = [line for line, of in dropped if of == label]
                leave_out = " or move its folder away, to leave the class out" if len(left) >= LEAST_CLASSES else ""
                raise SupportError(
                    f"every clip of {label} is bad ({listed(lines, LISTED, '; ')}): record others{leave_out}"
                )
        return replace(self.rows(kept), refused=()), [line for line, _ in dropped]


def embed_clips(
    clips: Sequence[SupportClip],
    embed: Callable[[Waveform], Embedding],
    progress: Progress | None,
    workers: int = 1,
) -> EmbeddedClips:
    """Decode and measure clips and embed their speech; clips that cannot be used are kept as errors that name them.

    Parameters:
        workers: number of clips that are processed at once, each in a thread.
    """
    usable: list[_Embedded] = []
    refused: list[RefusedClip] = []
    for done, found in enumerate(in_order(lambda clip: _embed_clip(clip, embed), clips, workers), start=1):
        if isinstance(found, RefusedClip):
            refused.append(found)
        else:
            usable.append(found)
        if progress:
            progress(done, len(clips))
    return EmbeddedClips(
        clips=tuple(found.clip for found in usable),
        embeddings=np.stack([found.embedding for found in usable]) if usable else np.zeros((0, 0), np.float32),
        refused=tuple(refused),
        notices=tuple(notice for found in usable for notice in found.notices),
    )


@dataclass(frozen=True, eq=False)
class _Embedded:
    """A clip that could be used."""

    clip: Clip
    embedding: Embedding
    notices: tuple[str, ...]


def _embed_clip(clip: SupportClip, embed: Callable[[Waveform], Embedding]) -> _Embedded | RefusedClip:
    title = clip.clip.title
    try:
        loaded = clip.load()
        utterances = utterances_in(loaded.waveform)
        speech = without_pauses(loaded.waveform, utterances)
        measured = replace(
            clip.clip,
            quality=measure(loaded.waveform, utterances),
            contour=contour_of(speech) if utterances else None,
        )
        return _Embedded(measured, embed(speech), tuple(f"{title}: {notice}" for notice in loaded.notices))
    except AudioError as error:
        reason = str(error).removeprefix(f"{title} ").removeprefix(f"{clip.clip.name} ")
        message = f"{title} {reason}" if reason != str(error) else f"{title}: {error}"
        return RefusedClip(clip.clip, AudioError(message))
    except OSError as error:  # the file is gone, or the disk is damaged
        return RefusedClip(clip.clip, AudioError(f"{title} {cannot_be_read(error)}"))
