"""The hop of a live stream: wider while the model is slower than real time, and narrow again when it is not.

work a window takes   40 ms   700 ms   700 ms   700 ms   40 ms   40 ms
hop                   0.5 s   0.5 s    1 s      1 s      1 s     0.5 s

Many streams on few cores would oscillate: each has enough time at the wide hop, all narrow it, and all are late again.
So a stream whose narrow hop did not last waits longer before it tries again, twice as long each time.
"""

from __future__ import annotations

BUSY_SHARE = 0.8
"""A window's work may take this share of the hop; beyond it the hop is doubled."""

IDLE_SHARE = 0.3
"""Below this share the hop is halved; less than half of `BUSY_SHARE`, so that it does not oscillate."""

RELAPSE_S = 10.0
"""A hop that is widened again within this time after it was narrowed was narrowed too early."""

FIRST_WAIT_S, LONGEST_WAIT_S = 4.0, 64.0
"""How long a stream must have enough time before it narrows its hop: after its first relapse, and at most."""


class Pace:
    """The state of one live stream: report the time of each window, read the hop."""

    def __init__(self, hop_s: float, widest_s: float) -> None:
        self._narrowest_s = hop_s
        self._widest_s = widest_s
        self.hop_s = hop_s
        self._narrowed_for_s = RELAPSE_S  # since the hop was last narrowed
        self._idle_s = 0.0  # time for which the work was fast enough
        self._wait_s = 0.0  # time before the hop is narrowed

    @property
    def is_wide(self) -> bool:
        """Whether the hop is wider than requested."""
        return self.hop_s > self._narrowest_s

    def worked(self, window_s: float) -> bool:
        """Record that a window took `window_s` of work; return whether the hop has changed."""
        before_s = self.hop_s
        self._narrowed_for_s += before_s
        while window_s > BUSY_SHARE * self.hop_s and self.hop_s < self._widest_s:
            self.hop_s = min(2 * self.hop_s, max(self._widest_s, self._narrowest_s))
        if self.hop_s > before_s:
            relapsed = self._narrowed_for_s < RELAPSE_S
            self._wait_s = min(max(2 * self._wait_s, FIRST_WAIT_S), LONGEST_WAIT_S) if relapsed else 0.0
        self._idle_s = self._idle_s + before_s if window_s < IDLE_SHARE * self.hop_s else 0.0
        if self.is_wide and self._idle_s > self._wait_s:
            self.hop_s = max(self.hop_s / 2, self._narrowest_s)
            self._narrowed_for_s = self._idle_s = 0.0
        return self.hop_s != before_s
