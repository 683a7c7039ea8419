"""What a stream says at a moment, as one word: a label, `unknown` or `silence`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metaser.runtime.enrolment.labels import UNKNOWN
from metaser.runtime.stream.event import StreamEvent
from metaser.runtime.system.clock import time_of_day

SILENCE = "silence"


@dataclass
class SpokenState:
    """The state of one source; it changes with the events of its streams."""

    value: str = SILENCE

    def change(self, event: StreamEvent) -> bool:
        """Take an event; return whether the state is another now.

        A segment often begins as unknown and gets its label in an update. So unknown is a state only once the segment
        is over, or for a segment that had a label.
        """
        before = self.value
        if event.event == "silence":
            self.value = SILENCE
        elif event.event in ("enter", "update", "leave"):
            if event.label is not None:
                self.value = event.label
            elif event.event == "leave" or before != SILENCE:
                self.value = UNKNOWN
        return self.value != before


def attributes(event: StreamEvent) -> dict[str, Any]:
    """An event with the time of day."""
    return {"time": time_of_day(), **event.as_dict()}
