"""The result of tuning in words."""

from types import SimpleNamespace
from typing import cast

import pytest

from metaser.cli.view.tuning import tuning_line
from metaser.runtime.enrolment.tune import TunedProfile
from metaser.runtime.tuning.guard import Guard


@pytest.mark.parametrize(
    ("kept", "after", "said"),
    [
        (True, 0.32, "Head tuned: log-loss 0.40 -> 0.32 on held-out clips."),
        (True, 0.45, "Head tuned as requested, although held-out clips got worse: log-loss 0.40 -> 0.45"),
        (False, 0.38, "it helps too little here: log-loss 0.40 -> 0.38 on held-out clips; a head is kept if this falls "
                      "by 10 % or more."),
        (False, 0.45, "it does not help here: log-loss 0.40 -> 0.45"),
    ],
)  # fmt: skip
def test_the_line_says_what_was_measured_and_what_was_needed(kept: bool, after: float, said: str) -> None:
    tuned = cast(TunedProfile, SimpleNamespace(kept=kept, guard=Guard(5, 0.40, after, margin=0.1)))
    assert said in tuning_line(tuned)
