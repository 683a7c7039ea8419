"""Statistics of a corpus: clips, classes, speakers, minutes and problems, from the headers of its files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from metaser.runtime.audio.file import AudioFile
from metaser.runtime.audio.recordings import cannot_be_read
from metaser.runtime.errors import AudioError, MetaserError, NotFoundError
from metaser.toolkit.data.utterances import Corpus, Problem


@dataclass(frozen=True)
class Report:
    """Statistics over the readable clips of a corpus."""

    name: str
    clips: int
    minutes: float
    classes: Mapping[str, int]
    """Label to number of clips, in descending order."""
    speakers: Mapping[str, int]
    """`corpus/speaker` to number of clips; clips of unknown speakers are not counted."""
    languages: tuple[str, ...]
    sample_rates_hz: tuple[int, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Header:
    duration_s: float
    sample_rate_hz: int


def report(corpus: Corpus) -> Report:
    """Count a corpus; missing, unreadable and empty clips are problems. Reads headers only."""
    usable, headers = _probe(corpus)
    clips = usable.utterances
    speakers = Counter(f"{clip.corpus}/{clip.speaker}" for clip in clips if clip.speaker)
    return Report(
        name=corpus.name,
        clips=len(clips),
        minutes=sum(header.duration_s for header in headers) / 60,
        classes=dict(Counter(clip.label for clip in clips).most_common()),
        speakers=dict(sorted(speakers.items())),
        languages=tuple(sorted({clip.language for clip in clips if clip.language})),
        sample_rates_hz=tuple(sorted({header.sample_rate_hz for header in headers})),
        problems=usable.problems,
    )


def readable(corpus: Corpus) -> Corpus:
    """The corpus with missing, unreadable and empty clips moved to its problems. Reads headers only."""
    return _probe(corpus)[0]


def _probe(corpus: Corpus) -> tuple[Corpus, list[_Header]]:
    """The corpus of readable clips, and the header of each."""
    found = [(clip, _header_or_problem(clip.path)) for clip in corpus.utterances]
    clips = tuple(clip for clip, header in found if isinstance(header, _Header))
    problems = tuple(problem for _, problem in found if isinstance(problem, Problem))
    headers = [header for _, header in found if isinstance(header, _Header)]
    return replace(corpus, utterances=clips, problems=corpus.problems + problems), headers


def _header_or_problem(path: Path) -> _Header | Problem:
    try:
        return _read_header(path)
    except MetaserError as error:
        return Problem(path, str(error))
    except OSError as error:
        return Problem(path, cannot_be_read(error))


def _read_header(path: Path) -> _Header:
    if not path.is_file():
        raise NotFoundError("no such file")
    if not path.stat().st_size:
        raise AudioError("an empty file")
    file = AudioFile(path)
    duration_s, rate_hz = file.duration_s(), _rate_hz(path)
    if not (duration_s and rate_hz):  # decode its start to get more, or the reason why it cannot be read
        try:
            next(iter(file.blocks()), None)
        except AudioError as error:
            raise AudioError(str(error).removeprefix(f"{path.name} ")) from error
        rate_hz = rate_hz or file.rate_hz
    if not (duration_s or file.samples):
        raise AudioError("holds no samples")
    return _Header(duration_s or file.samples / rate_hz, rate_hz)


def _rate_hz(path: Path) -> int:
    """The sample rate from the header; 0 if libsndfile does not know the format."""
    try:
        return int(soundfile.info(os.fsencode(path)).samplerate)  # str refuses names that are not UTF-8
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a file name suffix of raw samples
        return 0
