"""The units of a job, from files, folders and manifests, with those of transcripts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from metaser.archive.source.manifest import Manifest, is_manifest
from metaser.archive.source.unit import WHOLE, Unit, fault_of_span
from metaser.archive.transcripts.cue import Cue, TranscriptError
from metaser.archive.transcripts.find import SUFFIXES, Transcript, Transcripts
from metaser.runtime.audio.recordings import LeftOut, find_recordings, summary
from metaser.runtime.errors import InputError, NotFoundError
from metaser.runtime.words import counted, listed

LISTED = 3


class Source:
    """Recordings to label; each iteration yields the same units again, read from the disk.

    Parameters:
        given: recordings, folders of recordings and manifests.
        transcripts: of the recordings; the cues of a recording that has one are its units.

    Raises:
        NotFoundError: one of `given` does not exist.
        InputError: there is nothing in them, or one transcript is given for several recordings.
    """

    def __init__(self, given: Sequence[Path], transcripts: Transcripts | None = None) -> None:
        self._transcripts = transcripts
        self._left_out: list[LeftOut] = []
        self._parts: list[Manifest | tuple[Unit, ...]] = [self._part(path) for path in given]
        self.columns: list[str] = []
        """Further columns of the manifests, known after the first iteration."""

        self._without: set[str] = set()
        if transcripts is not None and transcripts.is_for_one:
            self._check_single()
        if not any(self._parts):
            raise InputError("no recordings: give files, folders that hold recordings, or a manifest")

    def __iter__(self) -> Iterator[Unit]:
        """Yield the units in the order of the source.

        Raises:
            InputError, MissingDependencyError: as of a manifest; or the library of a transcript is not installed.
        """
        columns = dict.fromkeys(self.columns)
        for part in self._parts:
            for unit in part:
                for column in unit.others:
                    columns.setdefault(column)
                yield from self._with_cues(unit)
        self.columns = list(columns)

    @property
    def kind(self) -> str:
        """What the units of recordings come from, in words."""
        if self._transcripts is None:
            return "without transcripts"
        tiers = self._transcripts.tiers
        return f"with transcripts (tiers {', '.join(tiers)})" if tiers else "with transcripts"

    def recordings(self) -> Iterator[tuple[Unit, Transcript]]:
        """Yield each recording that has a transcript, with it."""
        for part in self._parts:
            for unit in part:
                if not unit.error and unit.span == WHOLE and self._transcripts is not None:
                    try:
                        if transcript := self._transcripts.of(Path(unit.path)):
                            yield unit, transcript
                    except TranscriptError:  # it is a row of the results
                        continue

    def units_of(self, recording: Unit, cues: Sequence[Cue]) -> Iterator[Unit]:
        """Yield the units of a recording with a transcript, one per cue."""
        for cue in cues:
            times_missing = cue.start_s is None or cue.end_s is None
            error = "its transcript gives no times" if times_missing else fault_of_span(cue[:2])
            speaker = cue.speaker or recording.speaker
            yield recording._replace(span=cue[:2], speaker=speaker, text=cue.text, error=error)

    def notices(self) -> list[str]:
        """What was left out, in lines; complete after an iteration."""
        others = [each for each in self._left_out if each.is_other]
        if self._transcripts is None:
            lines = summary(others)
            if transcript := next((each.path for each in others if each.path.suffix.lower() in SUFFIXES), None):
                lines.append(
                    f"{transcript} looks like a transcript: to label its lines, add --segments {transcript.parent}"
                )
        else:
            lines = summary([each for each in others if each.path not in self._transcripts])
            if self._without:
                names = listed(sorted(self._without), LISTED)
                lines.append(f"No transcript, so each utterance is labelled: {names}")
            if unused := self._transcripts.unused():
                names = listed([str(path) for path in unused], LISTED)
                lines.append(f"{counted(len(unused), 'transcript')} without a recording: {names}")
        return lines

    def _part(self, path: Path) -> Manifest | tuple[Unit, ...]:
        if path.is_dir():
            found = find_recordings(path)
            self._left_out += found.left_out
            unreadable = [_unit(each.path, f"it {each.reason}") for each in found.left_out if not each.is_other]
            return (*map(_unit, found.recordings), *unreadable)
        if not path.exists():
            raise NotFoundError(f"no such file or folder: {path}")
        return Manifest(path) if is_manifest(path) else (_unit(path),)

    def _with_cues(self, unit: Unit) -> Iterator[Unit]:
        """The units of a recording's transcript; the unit itself if it has none."""
        if unit.error or unit.span != WHOLE or self._transcripts is None:
            yield unit
            return
        try:
            transcript = self._transcripts.of(Path(unit.path))
            cues = transcript.cues() if transcript else None
        except TranscriptError as error:
            yield unit._replace(error=str(error))
            return
        if cues is None:
            self._without.add(unit.shown)
            yield unit
        else:
            yield from self.units_of(unit, cues)

    def _check_single(self) -> None:
        if len(self._parts) != 1 or not isinstance(self._parts[0], tuple) or len(self._parts[0]) != 1:
            raise InputError(
                "one transcript is for one recording: give that recording, or a folder of transcripts with the names "
                "of the recordings"
            )


def _unit(path: Path, error: str = "") -> Unit:
    return Unit(os.path.abspath(path), str(path), error=error)  # noqa: PTH100 # pathlib resolves links
