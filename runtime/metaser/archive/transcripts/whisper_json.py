"""The JSON of openai-whisper, faster-whisper, whisperX and whisper.cpp.

openai-whisper, whisperX   {"segments": [{"start": 0.0, "end": 2.5, "text": "Hello", "speaker": "SPEAKER_00"}]}
faster-whisper             the same, or only the list of segments
whisper.cpp                {"transcription": [{"offsets": {"from": 0, "to": 2500}, "text": "Hello"}]}, in milliseconds
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metaser.archive.transcripts.cue import Cue, Mark, TranscriptError, text_of
from metaser.runtime.arguments import is_number
from metaser.runtime.system.files import replace_text
from metaser.runtime.system.strict_json import read_json_text

EMOTION = "emotion"
"""The key that is added to each segment."""


class WhisperJson:
    """A transcript in JSON; each segment gets an object `emotion` with label, confidence and scores."""

    def read(self, path: Path) -> list[Cue]:
        """The segments, as `Format.read`; a segment without times has none."""
        return [_cue(segment) for segment in _segments(path, _document(path))]

    def write(self, path: Path, target: Path, marks: Sequence[Mark | None]) -> None:
        """Write the document with labels, and everything else as it was, as `Format.write`."""
        document = _document(path)
        for segment, mark in zip(_segments(path, document), marks, strict=True):
            segment[EMOTION] = None if mark is None else _rounded(mark)
        replace_text(target, json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _rounded(mark: Mark) -> dict[str, object]:
    scores = {label: round(score, 4) for label, score in mark.scores.items()}
    return {"label": mark.label, "confidence": round(mark.confidence, 4), "scores": scores}


def _document(path: Path) -> Any:
    try:
        return read_json_text(text_of(path))
    except ValueError as error:
        if isinstance(error, TranscriptError):
            raise
        raise TranscriptError(f"{path} is not JSON ({error})") from error


def _segments(path: Path, document: Any) -> list[dict[str, Any]]:
    """The segments, as they are in the document."""
    found = document
    if isinstance(document, dict):
        found = next((document[key] for key in ("segments", "transcription") if key in document), None)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise TranscriptError(
            f"{path} is not a transcript: its segments must be a list under `segments` (whisper, whisperX) or "
            "`transcription` (whisper.cpp)"
        )
    if not found:
        raise TranscriptError(f"{path} holds no segments")
    return found


def _cue(segment: dict[str, Any]) -> Cue:
    offsets = segment.get("offsets")
    if isinstance(offsets, dict):
        times = [_number(offsets.get(key), 1 / 1000) for key in ("from", "to")]
    else:
        times = [_number(segment.get(key)) for key in ("start", "end")]
    return Cue(times[0], times[1], _words(segment.get("speaker")), _words(segment.get("text")))


def _number(value: Any, unit_s: float = 1.0) -> float | None:
    return float(value) * unit_s if is_number(value) else None


def _words(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, (str, int)) else ""
