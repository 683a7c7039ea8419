"""The labels of each speaker: the share of each label in the time, and for each recording a timeline."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from metaser.archive.tables.rows import ResultRow
from metaser.runtime.audio.file import AudioFile
from metaser.runtime.enrolment.labels import on_disk, safe_name
from metaser.runtime.system.files import replacing

NAME = "speakers.json"


@dataclass(frozen=True)
class Stretch:
    """A labelled stretch of a recording."""

    start_s: float
    end_s: float
    label: str
    """`unknown` if it resembles no class."""

    confidence: float
    text: str = ""
    """What was said, if it is known."""

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


@dataclass
class Timeline:
    """The stretches of one recording by speaker; the name of a speaker that is not known is empty."""

    recording: str
    """As the source gives it."""

    path: str
    speakers: dict[str, list[Stretch]] = field(default_factory=lambda: defaultdict(list))

    @cached_property
    def duration_s(self) -> float:
        """The length of the recording; the end of its last stretch if it cannot be read any more."""
        last_s = max(stretch.end_s for stretches in self.speakers.values() for stretch in stretches)
        return max(last_s, AudioFile(self.path).duration_s())


class Speakers:
    """Collect the labelled rows of a job: the time of each speaker, and the timelines of recordings with parts."""

    def __init__(self) -> None:
        self._timelines: dict[str, Timeline] = {}  # not of clips, of which there may be a million
        self._total_s: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def take(self, result: ResultRow) -> None:
        """Take a row."""
        row, speaker = result.row, result.unit.speaker
        if row.error or row.start_s is None or row.end_s is None:
            return
        self._total_s[speaker][result.label] += row.end_s - row.start_s
        if not result.is_clip:
            stretch = Stretch(row.start_s, row.end_s, result.label, row.confidence, result.unit.text)
            path = result.unit.shown
            self._timelines.setdefault(path, Timeline(path, result.unit.path)).speakers[speaker].append(stretch)

    def timelines(self) -> Iterable[Timeline]:
        """The recordings with several parts or utterances."""
        return self._timelines.values()

    def write(self, out: Path) -> None:
        """Write `speakers.json`: the shares by name over all recordings, and by recording with timelines.

        Raises:
            WorkError: it cannot be written.
        """
        with replacing(out / NAME) as file:
            totals = [_summary(speaker, seconds) for speaker, seconds in sorted(self._total_s.items())]
            file.write(f'{{"by_name": {json.dumps(totals)},\n "recordings": ['.encode())
            for number, timeline in enumerate(self.timelines()):
                file.write((",\n  " if number else "\n  ").encode() + json.dumps(_document(timeline)).encode())
            file.write(b"\n]}\n")


def file_names(timelines: Iterable[Timeline]) -> dict[str, str]:
    """Recording -> the name, without a suffix, of files about it: its own, or its whole path if others have it too."""
    stems = {timeline.recording: Path(timeline.recording).stem for timeline in timelines}
    counts = Counter(stems.values())
    return {
        recording: on_disk(safe_name(stem if counts[stem] == 1 else recording)) for recording, stem in stems.items()
    }


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Label -> its share of the time, the largest first."""
    total_s = sum(seconds.values())
    ordered = sorted(seconds.items(), key=lambda each: (-each[1], each[0]))
    return {label: round(spoken_s / total_s, 4) if total_s else 0.0 for label, spoken_s in ordered}


def seconds_by_label(stretches: list[Stretch]) -> dict[str, float]:
    """Label -> the time that it has."""
    seconds: dict[str, float] = defaultdict(float)
    for stretch in stretches:
        seconds[stretch.label] += stretch.duration_s
    return seconds


def _summary(speaker: str, seconds: Mapping[str, float]) -> dict[str, object]:
    return {"speaker": speaker, "speech_s": round(sum(seconds.values()), 3), "shares": shares(seconds)}


def _document(timeline: Timeline) -> dict[str, object]:
    speakers = [
        {
            **_summary(speaker, seconds_by_label(stretches)),
            "timeline": [
                [stretch.start_s, stretch.end_s, stretch.label, stretch.confidence]
                for stretch in sorted(stretches, key=lambda each: each.start_s)
            ],
        }
        for speaker, stretches in sorted(timeline.speakers.items())
    ]
    return {"path": timeline.recording, "speakers": speakers}
