"""Stable labels from the scores of overlapping windows: smoothing, and a dwell before a label may change.

Within an utterance the label is that of the mean score so far. When the newest windows say something else, they are
held back; if they keep saying it for the dwell, a new segment starts where they began, else they join the mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metaser.runtime.decision import Calibration, Decision, decide

Scores = npt.NDArray[np.float64]


class Segment:
    """One label's stretch of an utterance."""

    def __init__(self, start: int, labels: tuple[str, ...], calibration: Calibration, dwell_windows: int) -> None:
        self.start = start
        self._labels = labels
        self._calibration = calibration
        self._dwell_windows = dwell_windows
        self._total: Scores = np.zeros(len(labels))
        self._windows = 0
        self._held: list[tuple[int, Scores]] = []  # windows that disagree, with where their news begins

    @property
    def is_empty(self) -> bool:
        """No window was heard yet."""
        return self._windows == 0

    @property
    def decision(self) -> Decision:
        """The label of the mean score so far."""
        return decide(self._total / self._windows, self._labels, self._calibration)

    def hear(self, scores: Scores, news_start: int) -> Segment | None:
        """Take a window's [C] scores; a new segment where the label has changed for the whole dwell.

        `news_start` is the first sample that the window before it had not heard.
        """
        if self._windows and scores.argmax() != self._total.argmax():
            self._held.append((news_start, scores))
            recent: Scores = np.mean([held for _, held in self._held], axis=0)
            if len(self._held) < self._dwell_windows or recent.argmax() == self._total.argmax():
                return None
            successor = self._next_segment()
            if successor.decision.label != self.decision.label:
                return successor
            self._take_held()  # unknown follows unknown: nothing new for a person
            return None
        self._take_held()
        self._add(scores)
        return None

    def _take_held(self) -> None:
        for _, held in self._held:
            self._add(held)
        self._held.clear()

    def _add(self, scores: Scores) -> None:
        self._total = self._total + scores
        self._windows += 1

    def _next_segment(self) -> Segment:
        segment = Segment(self._held[0][0], self._labels, self._calibration, self._dwell_windows)
        for _, held in self._held:
            segment._add(held)
        return segment
