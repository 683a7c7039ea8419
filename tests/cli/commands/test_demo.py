"""`metaser demo`."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from metaser.cli.view.spans import Span
from metaser.runtime.bundles.bundle import shipped_folder

Run: TypeAlias = Callable[..., CompletedProcess[str]]


@pytest.fixture
def truth() -> list[Span]:
    document = json.loads((shipped_folder() / "demo" / "conversation.json").read_text(encoding="utf-8"))
    return [Span(segment["label"], segment["start_s"], segment["end_s"]) for segment in document["segments"]]


def test_the_demo_shows_truth_and_what_was_heard_and_touches_no_profile(
    run: Run, profile: Path, truth: list[Span]
) -> None:
    result = run("demo")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("truth ", "heard "))][:2] == ["truth", "heard"]
    assert sum(line.endswith((" yes", " no")) for line in map(str.rstrip, lines)) == len(truth)
    assert "synthetic" in result.stdout
    assert "metaser enroll support/" in result.stdout
    assert not profile.parent.exists()


def test_the_demo_as_json_is_one_object(run: Run, truth: list[Span]) -> None:
    answer = json.loads(run("demo", "--json").stdout)
    assert list(answer) == ["share_right", "segments", "real_time_factor"]
    assert [segment["label"] for segment in answer["segments"]] == [spoken.label for spoken in truth]
    assert all(segment["confidence"] is not None for segment in answer["segments"])
    assert 0 <= answer["share_right"] <= 1
    assert 0 < answer["real_time_factor"] < 1
