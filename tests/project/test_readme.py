"""The README shows what the commands print, and the examples run; test_shell_blocks.py runs its commands, and
test_figures.py checks its measured figures.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from metaser.runtime import Profile
from metaser.runtime.bundles.bundle import default_bundle

ROOT = Path(__file__).parents[2]
PROCESSORS_DIFFER = 0.02
"""Of a segment's confidence: ten times what two processors differed by (docs/platforms.md)."""

README = (ROOT / "README.md").read_text(encoding="utf-8")

SERVERS = ("stream_to_server", "ray_serve")
ALONE = sorted(path for path in (ROOT / "examples").glob("*.py") if path.stem not in SERVERS)
"""The examples for servers run in tests/serve and tests/fleet."""

Execute: TypeAlias = Callable[[list[str], Path], str]


@pytest.mark.parametrize("page", ["README.md", "docs/streaming.md"])
def test_the_segments_that_a_page_shows_are_what_is_printed(person: Path, execute: Execute, page: str) -> None:
    execute(["metaser", "enroll", "support/"], person)
    printed = execute(["metaser", "stream", "recording.wav", "--format", "csv"], person)
    (shown,) = re.findall(r"```csv\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    pairs = list(zip(shown.splitlines()[1:], printed.splitlines()[1:], strict=False))
    assert pairs
    threshold = Profile.load(person / "profile.safetensors").calibration.threshold
    for stated, heard in ([line.split(",") for line in pair] for pair in pairs):
        assert stated[:2] == heard[:2]
        assert abs(float(stated[3]) - float(heard[3])) < PROCESSORS_DIFFER
        if abs(float(stated[3]) - threshold) > PROCESSORS_DIFFER:  # closer to it, one of them may be unknown
            assert stated[2] == heard[2]


def test_the_figure_of_the_demonstration_is_what_it_prints(person: Path, execute: Execute) -> None:
    answer = json.loads(execute(["metaser", "demo", "--json"], person))
    (stated,) = re.findall(r"Expect (\d+) % of the speech time right", README)
    # on another processor a label may begin a hop of 0.5 s earlier or later, of 45 s
    assert abs(100 * answer["share_right"] - int(stated)) <= 2


@pytest.mark.parametrize("script", ALONE, ids=lambda path: path.stem)
def test_every_example_runs(person: Path, script: Path, execute: Execute) -> None:
    last = {
        "enroll_and_classify": "clip.wav",
        "stream_a_recording": "recording.wav",
        "eight_streams": "recording.wav",
        "arrays_and_profile": "me.safetensors",
    }
    assert execute([sys.executable, str(script), "support/", last[script.stem]], person)


def test_the_main_job_was_measured_with_the_default_bundle() -> None:
    assert json.loads((ROOT / "benchmarks/results/main_job.json").read_text())["bundle"] == default_bundle()
