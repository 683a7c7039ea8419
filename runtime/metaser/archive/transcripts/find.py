"""Finding the transcript of each recording in a file or folder of transcripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metaser.archive.transcripts.cue import Cue, Format, TranscriptError
from metaser.archive.transcripts.rttm import Rttm, turns_in
from metaser.archive.transcripts.subtitles import SubRip, WebVtt
from metaser.archive.transcripts.textgrid import TextGrid
from metaser.archive.transcripts.whisper_json import WhisperJson
from metaser.runtime.audio.recordings import is_junk
from metaser.runtime.errors import InputError
from metaser.runtime.system.os_errors import not_found
from metaser.runtime.words import listed

RTTM = ".rttm"
PREFERRED = (".json", ".textgrid", ".vtt", ".srt")
"""Of several transcripts of a recording in one folder, the first of these is used: whisper writes several."""

SUFFIXES = (*PREFERRED, RTTM)


@dataclass(frozen=True)
class Transcript:
    """The transcript of one recording."""

    path: Path
    form: Format
    target: Path
    """Its path among the results, relative to their folder."""

    turns: tuple[Cue, ...] = ()
    """The turns of a diarisation, which give the speakers of cues without one."""

    def cues(self) -> list[Cue]:
        """The cues in their order.

        Raises:
            TranscriptError: it cannot be read.
            MissingDependencyError: the library of its format is not installed.
        """
        try:
            cues = self.form.read(self.path)
        except OSError as error:
            raise TranscriptError(f"{self.path} cannot be read ({error.strerror}): check its permissions") from error
        return [cue if cue.speaker else cue._replace(speaker=speaker_of(cue, self.turns)) for cue in cues]


class Transcripts:
    """The transcripts in a file or below a folder, by the names of their recordings: `talk.srt` or `talk.wav.srt`.

    Parameters:
        given: a transcript of the only recording, an RTTM file of many recordings, or a folder of transcripts.
        tiers: the tiers of TextGrids to read; none: all of utterances.

    Raises:
        NotFoundError: there is no such file or folder.
        InputError: it is not a transcript, or there are none in it.
    """

    def __init__(self, given: Path, tiers: Sequence[str] = ()) -> None:
        self._forms: dict[str, Format] = {
            ".json": WhisperJson(), ".textgrid": TextGrid(tiers), ".vtt": WebVtt(), ".srt": SubRip(),
        }  # fmt: skip
        self.tiers = tuple(tiers)
        self._root = given if given.is_dir() else given.parent
        if not given.exists():
            raise not_found(given, "file")
        self._single = given if given.suffix.lower() in self._forms and given.is_file() else None
        self._files: dict[str, list[Path]] = defaultdict(list)
        self._turns: dict[str, tuple[Path, tuple[Cue, ...]]] = {}
        self._used: set[Path] = set()
        self._all = set(_files_in(given))
        for path in sorted(self._all):
            if path.suffix.lower() == RTTM:
                self._turns |= {name: (path, tuple(turns)) for name, turns in turns_in(path).items()}
            elif path.suffix.lower() in self._forms:
                self._files[path.stem].append(path)
        if not self._files and not self._turns:
            suffixes = ", ".join(SUFFIXES).replace("textgrid", "TextGrid")
            raise InputError(f"{given} holds no transcripts: give files that end in {suffixes}, or a folder of them")

    @property
    def is_for_one(self) -> bool:
        """Whether it is the transcript of a single recording, whatever that is called."""
        return self._single is not None

    def of(self, recording: Path) -> Transcript | None:
        """The transcript of a recording; None if there is none.

        Raises:
            TranscriptError: there are two in different folders and neither is the nearer one.
        """
        names = (recording.name, recording.stem)
        turns = next((self._turns[name] for name in names if name in self._turns), None)
        if path := self._single or self._nearest(recording, [each for name in names for each in self._files[name]]):
            self._used.add(path)
            form = self._forms[path.suffix.lower()]
            return Transcript(path, form, path.relative_to(self._root), turns[1] if turns else ())
        if turns is None:
            return None
        path = turns[0]
        self._used.add(path)
        name = next(name for name in names if name in self._turns)
        return Transcript(path, Rttm(name), path.relative_to(self._root))

    def __contains__(self, path: Path) -> bool:
        """Whether a file lies among the transcripts."""
        return path in self._all

    def unused(self) -> list[Path]:
        """Transcripts of no recording so far; of several of one recording only the preferred one counts."""
        used = {path.stem for path in self._used}
        return sorted(path for stem, paths in self._files.items() if stem not in used for path in paths)

    @staticmethod
    def _nearest(recording: Path, found: list[Path]) -> Path | None:
        """The transcript whose folders are most like those of the recording, and of those the preferred format."""
        if not found:
            return None
        most = max(_common_folders(recording, path) for path in found)
        near = [path for path in found if _common_folders(recording, path) == most]
        folders = {path.parent for path in near}
        if len(folders) > 1:
            names = listed([str(path) for path in sorted(near)], 2)
            raise TranscriptError(f"it has several transcripts ({names}): keep one, or sort them into its folders")
        return min(near, key=lambda path: PREFERRED.index(path.suffix.lower()))


def speaker_of(cue: Cue, turns: Sequence[Cue]) -> str:
    """The speaker whose turns overlap most with a cue; empty if none does."""
    if cue.start_s is None or cue.end_s is None or not turns:
        return ""
    starts, ends = (np.array(times, float) for times in zip(*(turn[:2] for turn in turns), strict=True))
    overlap_s = np.minimum(cue.end_s, ends) - np.maximum(cue.start_s, starts)
    spoken_s: dict[str, float] = defaultdict(float)
    for turn, shared_s in zip(turns, overlap_s.tolist(), strict=True):
        if shared_s > 0:
            spoken_s[turn.speaker] += shared_s
    return max(spoken_s, key=lambda speaker: spoken_s[speaker], default="")


def _files_in(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    return sorted(path for path in given.rglob("*") if path.is_file() and not is_junk(path.name))


def _common_folders(recording: Path, transcript: Path) -> int:
    """The number of folders above both that have the same names, from the files upwards."""
    common = 0
    pairs = zip(reversed(recording.absolute().parts[:-1]), reversed(transcript.absolute().parts[:-1]), strict=False)
    for one, other in pairs:
        if one != other:
            break
        common += 1
    return common
