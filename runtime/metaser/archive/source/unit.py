"""A unit: a recording, or a part of one, that is labelled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from metaser.runtime.audio.load import MAX_CLIP_S

Span: TypeAlias = "tuple[float | None, float | None]"
"""Start and end in seconds; no end is the end of the recording."""

WHOLE: Span = (None, None)
"""A whole recording: a clip gets one label, a longer recording one per utterance."""

NOTHING: Mapping[str, str] = MappingProxyType({})


class Unit(NamedTuple):
    """A recording, or a part of one, with what the source says about it."""

    path: str
    """Absolute, so that a job can be continued from another folder."""

    shown: str
    """The path as the source gives it."""

    span: Span = WHOLE
    speaker: str = ""
    text: str = ""
    others: Mapping[str, str] = NOTHING
    """Further columns of the manifest."""

    error: str = ""
    """Why it cannot be labelled."""


def fault_of_span(span: Span) -> str:
    """Why a part of a recording cannot be labelled, in words; empty if it can."""
    start_s, end_s = span
    if start_s is not None and not (math.isfinite(start_s) and start_s >= 0):
        return f"it starts at {start_s:g} s: give seconds from the start of the recording"
    if end_s is None:
        return ""
    if not math.isfinite(end_s) or end_s <= (start_s or 0):
        return f"it starts at {start_s or 0:g} s and ends at {end_s:g} s: the end must be later than the start"
    if end_s - (start_s or 0) > MAX_CLIP_S:
        return (
            f"it has {end_s - (start_s or 0):g} s and one label is for at most {MAX_CLIP_S:g} s: "
            "give parts of it, or the whole recording, in which each utterance gets a label"
        )
    return ""
