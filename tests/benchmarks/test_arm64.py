"""Comparing the answers of two machines, and the line that a machine without an arm64 root prints."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.arm64 import root
from benchmarks.arm64.compare import agreement, compared, cosines, events, margin, spread
from benchmarks.arm64.root import UnavailableError, check_machine, fetch_wheels, make_root


def test_cosines_and_margins_are_those_worked_by_hand() -> None:
    one, other = np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[2.0, 0.0], [4.0, 3.0]])
    np.testing.assert_allclose(cosines(one, other), [1.0, 24 / 25])
    assert margin(np.array([0.1, 0.7, 0.2])) == pytest.approx(0.5)
    assert spread(np.array([0.3, 0.1, 0.2])) == {"min": 0.1, "median": 0.2, "max": 0.3}


def test_labels_that_differ_are_listed_with_the_margins_of_both_machines() -> None:
    scores = [np.array([[0.6, 0.4], [0.51, 0.49]]), np.array([[0.7, 0.3], [0.49, 0.51]])]
    assert agreement([["a", "a"], ["a", "b"]], scores) == {
        "clips": 2, "equal": 1, "different": [["a", "b", 0.02, 0.02]],
    }  # fmt: skip


def test_events_agree_by_labels_and_times() -> None:
    one = [["a", 0.0, 1.0], ["b", 1.5, 2.0]]
    assert events(one, one) == {"segments": 2, "equal": 2, "same_labels": True, "most_s": 0.0}
    moved = events(one, [["a", 0.0, 1.0], ["b", 1.532, 2.0]])
    assert moved == {"segments": 2, "equal": 1, "same_labels": True, "most_s": 0.032}
    assert events(one, one[:1]) == {"segments": 2, "equal": 1, "same_labels": False, "most_s": None}


def test_two_files_of_answers_are_compared(tmp_path: Path) -> None:
    for machine, turn in (("x86_64", 0.0), ("aarch64", 0.1)):
        embeddings = np.array([[np.cos(turn), np.sin(turn)]])
        scores = np.array([[0.8 - turn, 0.2 + turn]])
        arrays = {"tiny/embeddings": embeddings, "tiny/scores": scores, "tiny/scores by one profile": scores}
        np.savez(tmp_path / f"answers-{machine}.npz", allow_pickle=False, **arrays)
        labels = {"labels": ["joy"], "labels by one profile": ["joy"], "events": [[]], "verify": {}}
        (tmp_path / f"answers-{machine}.json").write_text(json.dumps({"tiny": labels}))
    found = compared(tmp_path, "x86_64", "aarch64")["tiny"]
    assert found["embedding_cosine"]["min"] == pytest.approx(np.cos(0.1), abs=1e-6)
    assert found["score_difference"]["max"] == pytest.approx(0.1)
    assert found["labels"]["equal"] == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the root is for x86-64 machines")
def test_without_root_or_an_emulator_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match="needs root"):
        check_machine()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(UnavailableError, match="debootstrap is missing: apt-get install debootstrap"):
        check_machine()
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(root, "BINFMT", tmp_path / "none")
    with pytest.raises(UnavailableError, match="does not run arm64 programs: apt-get install qemu-user-static"):
        check_machine()
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(UnavailableError, match="is arm64 itself"):
        check_machine()


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
        make_root(tmp_path / "root", None)


def test_the_command_ends_with_a_line_and_code_3_where_it_cannot_run(tmp_path: Path) -> None:
    program = "import os, sys; os.geteuid = lambda: 1000; from benchmarks.arm64.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
