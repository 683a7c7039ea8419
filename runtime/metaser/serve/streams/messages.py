"""The messages of a client: `start` with its options, and what ends a stream, also as other servers' clients say it.

{"type": "start", "profile": "me", "rate": 48000, "channels": 1, "format": "s16le", "live": true,
 "window_s": 3, "hop_s": 0.5, "dwell_s": 1.5, "unknown": "calibrated", "token": "..."}
binary frames of samples
{"type": "end"}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Literal, cast

from metaser.runtime import StreamSettings
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.formats.pcm import RawFormat
from metaser.runtime.audio.samples import check_rate
from metaser.runtime.enrolment.profile import Unknown
from metaser.runtime.errors import InputError
from metaser.runtime.words import counted, kind_of, listed, shown

MOST_NAMES = 20
LONGEST_SOURCE = 64
MOST_NUMBER = 1e9
ENDS = ("end", "CloseStream", "Done")
"""Types, or whole messages, that end a stream: ours, Deepgram's, sherpa-onnx's."""

IGNORED = ("KeepAlive",)


@dataclass(frozen=True)
class Start:
    """The first message of a stream.

    Raises:
        InputError: a field is unknown, has another type or is out of its range.
    """

    profile: str | None = None
    """Its name; None if the server has a single one."""

    rate: int = SAMPLE_RATE_HZ
    channels: int = 1
    format: str = "s16le"
    live: bool = True
    """Drop audio that the model is too slow for; False: the client waits, and nothing is lost."""

    window_s: float = StreamSettings.window_s
    hop_s: float = StreamSettings.hop_s
    dwell_s: float = StreamSettings.dwell_s
    unknown: Unknown = "calibrated"
    token: str | None = None
    source: str | None = None
    """The name of what is heard, for MQTT and webhooks; the profile's without it."""

    @property
    def form(self) -> RawFormat:
        """The encoding of its samples."""
        return RawFormat(self.rate, self.channels, self.format)

    @property
    def settings(self) -> StreamSettings:
        """How the stream is cut into windows."""
        return StreamSettings.fitting(self.window_s, self.hop_s, self.dwell_s)


KINDS: dict[str, tuple[type, ...]] = {
    "profile": (str, type(None)),
    "rate": (int,),
    "channels": (int,),
    "format": (str,),
    "live": (bool,),
    "window_s": (int, float),
    "hop_s": (int, float),
    "dwell_s": (int, float),
    "unknown": (str,),
    "token": (str, type(None)),
    "source": (str, type(None)),
}
"""Field of `Start` -> the types of its value in JSON."""


def read_start(text: str) -> Start:
    """The start of a stream from its message.

    Raises:
        InputError: it is not such a message, or a value cannot be used.
    """
    message = _object(text)
    if message is None or message.pop("type", None) != "start":
        raise InputError('the first message is not a start: send {"type": "start", "rate": 16000, ...} as text')
    known = [each.name for each in fields(Start)]
    if unknown := [name for name in message if name not in known]:
        raise InputError(f"start has no field {listed(unknown, MOST_NAMES)}: there are {', '.join(known)}")
    for name, value in message.items():
        if isinstance(value, (int, float)) and not abs(value) <= MOST_NUMBER:
            raise InputError(f"{name} of start is too large: give a number below {MOST_NUMBER:g}")
        if not isinstance(value, KINDS[name]) or (isinstance(value, bool) and name != "live"):
            raise InputError(f"{name} of start is {shown(value) if value is not None else kind_of(value)}: see {name}")
    start = Start(**message)
    check_rate(start.rate)
    _ = start.form, start.settings
    if start.source is not None and not 0 < len(start.source) <= LONGEST_SOURCE:
        raise InputError(f"source of start has {counted(len(start.source), 'letter')}: give 1 to {LONGEST_SOURCE}")
    if start.unknown not in ("off", "calibrated", "strict"):
        raise InputError(f"unknown is {shown(start.unknown)}: choose off, calibrated or strict")
    return start


def read_text(text: str) -> Literal["end", "ignored"]:
    """What a text message after the start means.

    Raises:
        InputError: it means nothing; samples belong in binary messages.
    """
    message = _object(text)
    kind = text.strip() if message is None else message.get("type")
    if kind in ENDS or (message is not None and message.get("eof") == 1):
        return "end"
    if kind in IGNORED:
        return "ignored"
    raise InputError('a text message that is not {"type": "end"}: send samples as binary messages')


def _object(text: str) -> dict[str, Any] | None:
    """A JSON object; None for anything else, also for halves of surrogate pairs, which are no text."""
    try:
        message = json.loads(text)
        json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", message) if isinstance(message, dict) else None
