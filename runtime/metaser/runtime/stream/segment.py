"""Stable labels from the scores of overlapping windows: smoothing, and a dwell before a label may change.

Within an utterance the label is that of the mean score so far. While windows still reach back to its start, each
contains all speech so far, so the newest replaces the one before it. Later, when the newest windows give another label,
they are held back. If they keep giving it for the dwell, a new segment starts at the first of them, else they join the
mean. If they are still held when the utterance ends, they lower the confidence but do not change the label. So a window
between two labels has the same weight with either label. A label stays while the confidence is a little below the
threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from metaser.runtime.scoring.decision import Calibration, Decision, decide

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SegmentRules:
    """Rules for all segments of a stream."""

    labels: tuple[str, ...]
    calibration: Calibration
    """Threshold and margin at which a label enters."""

    dwell_windows: int
    leave_share: float = 1.0
    """A label stays down to this share of threshold and margin."""

    @property
    def leaving(self) -> Calibration:
        """Threshold and margin at which a label leaves."""
        threshold, margin = self.calibration.threshold, self.calibration.margin
        return replace(self.calibration, threshold=threshold * self.leave_share, margin=margin * self.leave_share)


@dataclass(frozen=True, eq=False)
class Window:
    """The scores of one window."""

    scores: Scores
    """[C]"""

    start: int
    """Its first sample."""

    news_start: int
    """The first sample that was not in the window before it."""


class Segment:
    """The part of an utterance with one label."""

    def __init__(self, start: int, rules: SegmentRules) -> None:
        self.start = start
        self._rules = rules
        self._total: Scores = np.zeros(len(rules.labels))
        self._windows = 0
        self._grows = True  # every window so far began with the first
        self._first_start = start
        self._given: str | None = None  # the label that has entered
        self._held: list[Window] = []  # windows with another label

    @property
    def is_empty(self) -> bool:
        """Whether there is no window yet."""
        return self._windows == 0

    @property
    def decision(self) -> Decision:
        """The label of the mean score so far."""
        mean = self._total / self._windows
        entering = decide(mean, self._rules.labels, self._rules.calibration)
        if entering.label is None and self._given is not None:
            leaving = decide(mean, self._rules.labels, self._rules.leaving)
            return leaving if leaving.label == self._given else entering
        return entering

    def hear(self, window: Window) -> Segment | None:
        """Take a window; return a new segment if the label has changed for the whole dwell."""
        if self._windows == 0:
            self._first_start = window.start
        self._grows = self._grows and window.start == self._first_start
        if not self._grows and window.scores.argmax() != self._total.argmax():
            self._held.append(window)
            recent: Scores = np.mean([held.scores for held in self._held], axis=0)
            if len(self._held) < self._rules.dwell_windows or recent.argmax() == self._total.argmax():
                return None
            successor = self._next_segment()
            if successor.decision.label != self.decision.label:
                return successor
            self._take_held()  # unknown follows unknown: no visible change
            return None
        self._take_held()
        self._add(window)
        return None

    def close(self) -> Decision:
        """The decision at the end of the utterance; windows still held join the mean but keep the label."""
        label = self.decision.label
        self._take_held()
        final = self.decision
        return replace(final, label=label, confidence=final.scores[label] if label else final.confidence)

    def _take_held(self) -> None:
        for held in self._held:
            self._add(held)
        self._held.clear()

    def _add(self, window: Window) -> None:
        if self._grows:
            self._total, self._windows = window.scores, 1
        else:
            self._total, self._windows = self._total + window.scores, self._windows + 1
        self._given = self.decision.label

    def _next_segment(self) -> Segment:
        segment = Segment(self._held[0].news_start, self._rules)
        segment._grows = False
        for held in self._held:
            segment._add(held)
        return segment
