"""A cue of a transcript, and the label that it gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from metaser.runtime.errors import InputError


class TranscriptError(InputError):
    """A transcript that cannot be read."""


class Cue(NamedTuple):
    """A stretch of a recording with what was said, by whom."""

    start_s: float | None
    end_s: float | None
    speaker: str = ""
    text: str = ""


class Mark(NamedTuple):
    """The label of a cue."""

    label: str
    """`unknown` if it resembles no class."""

    confidence: float
    scores: dict[str, float]
    """Probability of each class."""


class Format(Protocol):
    """A module that reads and writes one format of transcripts."""

    def read(self, path: Path) -> list[Cue]:
        """The cues in their order.

        Raises:
            TranscriptError, OSError: it cannot be read.
        """

    def write(self, path: Path, target: Path, marks: Sequence[Mark | None]) -> None:
        """Write the transcript at `path` to `target`, with the marks of its cues; None for a cue without a label.

        Raises:
            TranscriptError, OSError, WorkError: one cannot be read or the other not be written.
        """


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        TranscriptError: it is in another encoding.
    """
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise TranscriptError(f"{path} is not UTF-8: save it as UTF-8") from error
