"""Subtitles: SubRip (.srt) by the library srt, and WebVTT (.vtt) by webvtt-py."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.archive.transcripts.cue import Cue, Mark, TranscriptError, text_of
from metaser.runtime.errors import MissingDependencyError
from metaser.runtime.system.files import replace_text
from metaser.runtime.words import plain

if TYPE_CHECKING:
    from types import ModuleType

    import srt
    import webvtt

MISSING = "subtitles need srt and webvtt-py: pip install 'metaser[transcripts]'"
SPEAKER = re.compile(r"\A\[([^\]\n]{1,80})\]:\s+")
"""A speaker in the text, as whisperX writes it."""

VOICE = re.compile(r"\A<v[ .][^>\n]*>")
MARKUP = re.compile(r"<[^>\n]*>|\{\\[^}\n]*\}")


class SubRip:
    """SubRip: the label precedes the text, in brackets."""

    def read(self, path: Path) -> list[Cue]:
        """The cues of a .srt file, as `Format.read`."""
        return [_cue(each.start.total_seconds(), each.end.total_seconds(), each.content) for each in _subrip(path)]

    def write(self, path: Path, target: Path, marks: Sequence[Mark | None]) -> None:
        """Write a .srt file with labels, as `Format.write`."""
        import srt

        cues = _subrip(path)
        for cue, mark in zip(cues, marks, strict=True):
            cue.content = marked(cue.content, mark)
        replace_text(target, srt.compose(cues, reindex=False))


class WebVtt:
    """WebVTT: the label precedes the text, in brackets; voices, styles, comments and settings are kept."""

    def read(self, path: Path) -> list[Cue]:
        """The cues of a .vtt file, as `Format.read`; a voice is the speaker."""
        cues = []
        for caption in _web_vtt(path).captions:
            cue = _cue(_seconds(caption.start_time), _seconds(caption.end_time), html.unescape(caption.text))
            cues.append(cue._replace(speaker=cue.speaker or (caption.voice or "")))
        return cues

    def write(self, path: Path, target: Path, marks: Sequence[Mark | None]) -> None:
        """Write a .vtt file with labels, as `Format.write`."""
        document = _web_vtt(path)
        for caption, mark in zip(document.captions, marks, strict=True):
            lines = marked("\n".join(caption.lines), mark).split("\n")
            caption.lines = lines
        written = io.StringIO()
        document.write(written)
        replace_text(target, written.getvalue())


def marked(text: str, mark: Mark | None) -> str:
    """The text of a subtitle with its label in front, inside of a voice that begins there."""
    if mark is None:
        return text
    label = plain(mark.label).replace("-->", "->").replace("<", "(").replace(">", ")")
    voice = VOICE.match(text)
    begin = voice.end() if voice else 0
    return f"{text[:begin]}[{label}] {text[begin:]}"


def _cue(start_s: float, end_s: float, content: str) -> Cue:
    text = MARKUP.sub("", content).strip()
    speaker = SPEAKER.match(text)
    return Cue(
        start_s, end_s, speaker[1].strip() if speaker else "", " ".join(text[speaker.end() if speaker else 0 :].split())
    )


def _subrip(path: Path) -> list[srt.Subtitle]:
    try:
        import srt
    except ImportError as error:
        raise MissingDependencyError(MISSING) from error
    try:
        cues = list(srt.parse(text_of(path)))
    except srt.SRTParseError as error:
        raise TranscriptError(f"{path} is not SubRip ({str(error).splitlines()[0]})") from error
    if not cues:
        raise TranscriptError(f"{path} holds no subtitles")
    return cues


def _web_vtt(path: Path) -> webvtt.WebVTT:
    library = _web_vtt_library()
    try:
        document = library.from_string(text_of(path))
    except library.errors.MalformedFileError as error:
        raise TranscriptError(f"{path} is not WebVTT: its first line must begin with WEBVTT") from error
    if not document.captions:
        raise TranscriptError(f"{path} holds no subtitles")
    return document


def _web_vtt_library() -> ModuleType:
    try:
        import webvtt
    except ImportError as error:
        raise MissingDependencyError(MISSING) from error
    return webvtt


def _seconds(time: webvtt.models.Timestamp) -> float:
    return time.hours * 3600 + time.minutes * 60 + time.seconds + time.milliseconds / 1000
