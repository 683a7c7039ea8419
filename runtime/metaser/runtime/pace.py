"""The hop of a live stream: wider while the model is slower than real time, and narrow again when it is not.

work a window takes   40 ms   700 ms   700 ms   700 ms   40 ms   40 ms
hop                   0.5 s   0.5 s    1 s      1 s      1 s     0.5 s
"""

from __future__ import annotations

BUSY_SHARE = 0.8
"""A window's work may take this share of the hop; beyond it the hop is doubled."""

IDLE_SHARE = 0.3
"""Below this share the hop is halved; less than half of `BUSY_SHARE`, so that it does not swing."""


class Pace:
    """The state of one live stream: tell it what each window took, read the hop."""

    def __init__(self, hop_s: float, widest_s: float) -> None:
        self._narrowest_s = hop_s
        self._widest_s = widest_s
        self.hop_s = hop_s

    @property
    def is_wide(self) -> bool:
        """Whether the hop is wider than it was asked for."""
        return self.hop_s > self._narrowest_s

    def worked(self, window_s: float) -> bool:
        """A window took `window_s` of work; whether the hop has changed for it."""
        before_s = self.hop_s
        while window_s > BUSY_SHARE * self.hop_s and self.hop_s < self._widest_s:
            self.hop_s = min(2 * self.hop_s, max(self._widest_s, self._narrowest_s))
        if self.is_wide and window_s < IDLE_SHARE * self.hop_s:
            self.hop_s = max(self.hop_s / 2, self._narrowest_s)
        return self.hop_s != before_s
