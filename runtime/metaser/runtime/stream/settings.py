"""How a stream is cut into windows, and when a label enters, stays and changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from metaser.runtime.arguments import check_fields
from metaser.runtime.audio.voice_activity import CHUNK_S, VoiceActivitySettings
from metaser.runtime.errors import InputError

MAX_WINDOW_S = 60.0
"""A longer window mixes several emotions, and costs its length each hop."""


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is cut into windows, and when a label enters, stays and changes.

    Raises:
        InputError: a value has another type or is out of its range.
    """

    window_s: float = 3.0
    """The longest stretch of speech that a label is based on."""

    hop_s: float = 0.5
    """Time between two windows."""

    min_window_s: float = 1.0
    """Speech before the first provisional label."""

    min_utterance_s: float = 0.3
    """Shorter bursts get no label."""

    dwell_s: float = 1.5
    """How long a new label must persist inside an utterance before it is accepted."""

    leave_share: float = 0.8
    """A label enters at the calibration's threshold and margin, and stays down to this share of them."""

    widest_hop_s: float = 8.0
    """The widest hop of a live stream that cannot keep up."""

    voice_activity: VoiceActivitySettings = field(default_factory=VoiceActivitySettings)

    @classmethod
    def fitting(cls, window_s: float, hop_s: float, dwell_s: float) -> StreamSettings:
        """The settings with this window, hop and dwell; the first window is no longer, the widest hop no shorter.

        Raises:
            InputError: a value has another type or is out of its range.
        """
        return cls(
            window_s,
            hop_s,
            min_window_s=min(cls.min_window_s, window_s),
            dwell_s=dwell_s,
            widest_hop_s=max(cls.widest_hop_s, hop_s),
        )

    def __post_init__(self) -> None:
        check_fields(self)
        if (
            not CHUNK_S <= self.hop_s <= self.window_s
            or not 0 < self.min_utterance_s <= self.min_window_s <= self.window_s
        ):
            raise InputError(
                f"a window of {self.window_s:g} s, a hop of {self.hop_s:g} s, the first of {self.min_window_s:g} s "
                f"and utterances from {self.min_utterance_s:g} s: each must be above 0 and not longer than the window, "
                f"and a hop at least {CHUNK_S:g} s"
            )
        if self.window_s > MAX_WINDOW_S:
            raise InputError(f"a window of {self.window_s:g} s: give {MAX_WINDOW_S:g} s at most")
        if self.dwell_s < 0:
            raise InputError(f"a dwell of {self.dwell_s:g} s: it must be 0 or more")
        if not 0 <= self.leave_share <= 1:
            raise InputError(f"a label that stays down to {self.leave_share:g} of its threshold: give 0 to 1")
        if self.widest_hop_s < self.hop_s:
            raise InputError(f"a widest hop of {self.widest_hop_s:g} s: give one of at least the hop, {self.hop_s:g} s")
