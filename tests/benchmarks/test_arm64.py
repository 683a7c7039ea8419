"""Comparing the answers of two machines, and the line that a machine without an arm64 root prints."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from benchmarks import debian
from benchmarks.arm64.compare import agreement, closeness, compared, cosines, events, spread
from benchmarks.arm64.probe_worker import (
    EMBEDDINGS,
    EVENTS,
    KEPT_EVERY,
    LABELS,
    LIMITS,
    PROFILES,
    VERIFY,
    answers_folder,
    embedded,
)
from benchmarks.arm64.wheels import fetch_wheels
from benchmarks.debian import Root, UnavailableError
from metaser.runtime import Engine
from metaser.runtime.arrays import Embedding, Waveform


def test_cosines_and_spreads_are_those_worked_by_hand() -> None:
    one, other = np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[2.0, 0.0], [4.0, 3.0]])
    np.testing.assert_allclose(cosines(one, other), [1.0, 24 / 25])
    assert spread(np.array([0.3, 0.1, 0.2])) == {"min": 0.1, "median": 0.2, "max": 0.3}


@pytest.mark.parametrize(
    ("scores", "limits", "close"),
    [
        ([0.1, 0.7, 0.2], (0.0, 0.0), 0.5),  # the two best
        ([0.1, 0.7, 0.2], (0.6, 0.0), 0.1),  # the threshold
        ([0.1, 0.7, 0.2], (0.0, 0.45), 0.05),  # the least difference
        ([0.02, 0.48, 0.02], (0.0, 0.0), 0.02),  # how much it resembles any class
    ],
)
def test_a_decision_is_as_close_as_its_nearest_limit(
    scores: list[float], limits: tuple[float, float], close: float
) -> None:
    assert closeness(np.array(scores), *limits) == pytest.approx(close)


def test_labels_that_differ_are_listed_with_their_closeness_on_both_machines() -> None:
    scores = [np.array([[0.6, 0.4], [0.51, 0.49]]), np.array([[0.7, 0.3], [0.49, 0.51]])]
    limits = {LIMITS: {"threshold": 0.3, "margin": 0.0}}
    assert agreement([{LABELS: ["a", "a"], **limits}, {LABELS: ["a", "b"], **limits}], scores) == {
        "clips": 2,
        "equal": 1,
        "thresholds": [0.3, 0.3],
        "different": [{"labels": ["a", "b"], "closeness": [0.02, 0.02]}],
    }


def test_events_agree_by_labels_and_times() -> None:
    one = [["a", 0.0, 1.0], ["b", 1.5, 2.0]]
    assert events(one, one) == {"segments": 2, "equal": 2, "same_labels": True, "most_s": 0.0}
    moved = events(one, [["a", 0.0, 1.0], ["b", 1.532, 2.0]])
    assert moved == {"segments": 2, "equal": 1, "same_labels": True, "most_s": 0.032}
    assert events(one, one[:1]) == {"segments": 2, "equal": 1, "same_labels": False, "most_s": None}


def test_the_answers_of_two_machines_are_compared_where_both_have_answered(tmp_path: Path) -> None:
    for machine, turn in (("x86_64", 0.0), ("aarch64", 0.1)):
        folder = answers_folder(tmp_path, machine)
        folder.mkdir(parents=True)
        arrays = {EMBEDDINGS: np.array([[np.cos(turn), np.sin(turn)]]), "demo": np.array([[0.8 - turn, 0.2 + turn]])}
        np.savez(folder / "tiny.npz", allow_pickle=False, **arrays)
        profile = {LABELS: ["joy"], LIMITS: {"threshold": 0.5, "margin": 0.0}}
        answers = {PROFILES: {"demo": profile}, EVENTS: [[]], VERIFY: {"embedding_cosine": 1 - turn}}
        (folder / "tiny.json").write_text(json.dumps(answers))
    (answers_folder(tmp_path, "x86_64") / "open.json").write_text("{}")
    found = compared(tmp_path, ("x86_64", "aarch64"))
    assert list(found) == ["tiny"]
    assert found["tiny"]["embedding_cosine"]["min"] == pytest.approx(np.cos(0.1), abs=1e-6)
    assert found["tiny"][PROFILES]["demo"]["score_difference"]["max"] == pytest.approx(0.1)
    assert found["tiny"][PROFILES]["demo"]["equal"] == 1
    assert found["tiny"][VERIFY] == {"x86_64": {"embedding_cosine": 1.0}, "aarch64": {"embedding_cosine": 0.9}}


class EndedEngine:
    """An engine that ends the process at a clip; it remembers the clips that it embedded."""

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.embedded: list[float] = []

    def embed(self, clip: Waveform) -> Embedding:
        if clip[0] == self.ends_at:
            raise KeyboardInterrupt
        self.embedded.append(float(clip[0]))
        return clip[:2]


def test_a_run_that_was_ended_computes_only_the_embeddings_it_lost(tmp_path: Path) -> None:
    clips = [np.full(3, number, np.float32) for number in range(KEPT_EVERY + 7)]
    ended, resumed, again = EndedEngine(KEPT_EVERY + 3), EndedEngine(-1), EndedEngine(-1)
    kept = tmp_path / "tiny.embeddings.npy"
    with pytest.raises(KeyboardInterrupt):
        embedded(cast("Engine", ended), clips, kept)
    found = embedded(cast("Engine", resumed), clips, kept)
    assert resumed.embedded == list(range(KEPT_EVERY, KEPT_EVERY + 7))
    np.testing.assert_array_equal(found, [clip[:2] for clip in clips])
    np.testing.assert_array_equal(embedded(cast("Engine", again), clips, kept), found)
    assert again.embedded == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the root is for x86-64 machines")
def test_without_root_or_an_emulator_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match="needs root"):
        Root(tmp_path, "arm64").check()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(UnavailableError, match="debootstrap is missing: apt-get install debootstrap"):
        Root(tmp_path, "arm64").check()
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(debian, "BINFMT", tmp_path / "none")
    with pytest.raises(UnavailableError, match="does not run arm64 programs: apt-get install qemu-user-static"):
        Root(tmp_path, "arm64").check()
    Root(tmp_path, "amd64").check()
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(UnavailableError, match="programs of amd64 are not emulated here: name --arch arm64"):
        Root(tmp_path, "amd64").check()


def test_without_a_network_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(UnavailableError, match="the wheels for arm64 cannot be fetched: is there a network"):
        fetch_wheels(Path("metaser"), tmp_path)
    fake = tmp_path / "debootstrap"
    fake.write_text("#!/bin/sh\necho 'E: Failed getting release file'\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UnavailableError, match=r"debootstrap failed \(E: Failed getting release file\)"):
        Root(tmp_path / "root", "arm64").make("bookworm", ())


@pytest.mark.parametrize(
    ("setting", "line"),
    [("os.geteuid = lambda: 1000", "needs root"), ("platform.machine = lambda: 'aarch64'", "is arm64 itself")],
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the root is for x86-64 machines")
def test_the_command_ends_with_a_line_and_code_3_where_it_cannot_run(setting: str, line: str, tmp_path: Path) -> None:
    program = f"import os, platform, sys; {setting}; from benchmarks.arm64.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert line in done.stderr
