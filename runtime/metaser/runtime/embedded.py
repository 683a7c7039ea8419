"""Clips with their embeddings and measurements, on the way into a profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metaser.runtime.arrays import Embedding, Embeddings, Waveform
from metaser.runtime.clip_quality import measure
from metaser.runtime.enrolment import Progress, SupportClip
from metaser.runtime.errors import AudioError, SupportError
from metaser.runtime.profile import Clip
from metaser.runtime.speech import utterances_in, without_pauses


@dataclass(frozen=True, eq=False)
class EmbeddedClips:
    """The clips of a folder that could be used, and why the others could not."""

    clips: tuple[Clip, ...]
    embeddings: Embeddings
    """[M, E]"""

    errors: tuple[AudioError, ...]

    def checked(self) -> EmbeddedClips:
        """These clips, where all could be used.

        Raises:
            AudioError: some could not; it names the first and how many more there are.
        """
        if len(self.errors) > 1:
            more = len(self.errors) - 1
            raise AudioError(f"{self.errors[0]} ({more} more {'clip' if more == 1 else 'clips'} cannot be used either)")
        if self.errors:
            raise self.errors[0]
        return self

    def good(self) -> tuple[EmbeddedClips, list[str]]:
        """The clips that help, and a line for each that was left out.

        Raises:
            SupportError: nothing of a class is left.
        """
        faults = [clip.quality.faults() if clip.quality and clip.quality.is_bad else [] for clip in self.clips]
        kept = [row for row, found in enumerate(faults) if not found]
        dropped = [f"{clip.title}: {', '.join(found)}" for clip, found in zip(self.clips, faults, strict=True) if found]
        dropped = sorted([*map(str, self.errors), *dropped])
        left = {self.clips[row].label for row in kept}
        if gone := [line for line in dropped if line.split("/")[0] not in left]:
            raise SupportError(f"every clip of {gone[0].split('/')[0]} is bad ({gone[0]}): record it again")
        return EmbeddedClips(tuple(self.clips[row] for row in kept), self.embeddings[kept], ()), dropped


def embed_clips(
    clips: Sequence[SupportClip], embed: Callable[[Waveform], Embedding], progress: Progress | None
) -> EmbeddedClips:
    """Decode and measure clips and embed their speech; what cannot be used is kept as an error that names it."""
    usable: list[Clip] = []
    embeddings: list[Embedding] = []
    errors: list[AudioError] = []
    for done, clip in enumerate(clips, start=1):
        try:
            waveform = clip.waveform()
            utterances = utterances_in(waveform)
            embeddings.append(embed(without_pauses(waveform, utterances)))
            usable.append(replace(clip.clip, quality=measure(waveform, utterances)))
        except AudioError as error:
            title = clip.clip.title
            told = str(error).removeprefix(f"{title} ").removeprefix(f"{clip.clip.name} ")
            errors.append(AudioError(f"{title} {told}" if told != str(error) else f"{title}: {error}"))
        if progress:
            progress(done, len(clips))
    rows = np.stack(embeddings) if embeddings else np.zeros((0, 0), np.float32)
    return EmbeddedClips(tuple(usable), rows, tuple(errors))
