"""A share of the robustness benchmark: damaged files of every kind, and killed commands."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.robustness import watch as robustness_watch
from benchmarks.robustness.bytes import ALL, damaged
from benchmarks.robustness.cases import KINDS, repair_hashes
from benchmarks.robustness.commands import Remove
from benchmarks.robustness.kills import kills_of
from benchmarks.robustness.material import (
    SMALLEST,
    make_checkpoints,
    make_configs,
    make_corpora,
    make_encoders,
    make_run,
    make_sounds,
    make_support,
)
from benchmarks.robustness.worker import run_case
from metaser.runtime import Engine, open_bundle
from metaser.runtime.errors import BundleError

SHARE = {"profile": 250, "bundle": 40, "graph": 40, "sound": 250, "checkpoint": 20, "settings": 20}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """A folder of sound files to damage, with the bundle of the tests."""
    seeds = tmp_path_factory.mktemp("work") / "seeds"
    shutil.copytree(tiny_bundle, seeds / "bundles" / SMALLEST)
    for name, make in {
        "support": make_support, "sounds": make_sounds, "encoders": make_encoders, "checkpoints": make_checkpoints,
        "corpora": make_corpora, "configs": make_configs, "run": make_run,
    }.items():  # fmt: skip
        (seeds / name).mkdir()
        make(seeds / name)
    engine = Engine.open(seeds / "bundles" / SMALLEST, provider="cpu")
    engine.enroll(seeds / "support").save(seeds / "profiles" / "plain.safetensors")
    return seeds.parent


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_in_one_line_or_give_an_answer(work: Path, kind: str) -> None:
    case = KINDS[kind](work)
    for seed in range(SHARE[kind]):
        found = run_case(case, seed)
        assert found["outcome"] in ("accepted", "refused"), (seed, found)
        assert not found["stray_warnings"], (seed, found)
        assert "\n" not in found.get("message", "")


def test_a_case_is_the_same_whenever_it_is_run(work: Path) -> None:
    case = KINDS["sound"](work)
    first = [run_case(case, seed) for seed in range(20)]
    again = [run_case(case, seed) for seed in reversed(range(20))][::-1]
    assert [(one["outcome"], one.get("message")) for one in first] == [
        (one["outcome"], one.get("message")) for one in again
    ]
    assert {one["outcome"] for one in first} == {"accepted", "refused"}


@pytest.mark.parametrize("damage", [*ALL, damaged])
def test_every_kind_of_damage_takes_files_of_every_size(damage: object) -> None:
    assert callable(damage)
    for size in (1, 2, 7, 5000):
        for seed in range(50):
            content = random.Random(seed).randbytes(size)
            assert isinstance(damage(content, content[::-1], random.Random(seed)), bytes)


def test_repaired_hashes_let_a_changed_file_through(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    (bundle / "LICENSE").write_text("Other words.\n")
    with pytest.raises(BundleError):
        open_bundle(bundle)
    repair_hashes(bundle)
    assert open_bundle(bundle).manifest.name == "tiny"


def worker(source: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("end", "outcome"), [("os.kill(os.getpid(), 11)", "crash"), ("time.sleep(60)", "hang"), ("os._exit(3)", "crash")]
)
def test_a_case_that_takes_its_process_with_it_is_named(
    monkeypatch: pytest.MonkeyPatch, end: str, outcome: str
) -> None:
    monkeypatch.setattr(robustness_watch, "HANG_S", 0.5)
    lines = '{"begins": 1}\n{"seed": 1, "outcome": "accepted"}\n{"begins": 7}'
    with worker(f"import os, time; print({lines!r}, flush=True); {end}") as process:
        found = list(robustness_watch.answers_of(process))
        process.kill()
    assert [(one["seed"], one["outcome"]) for one in found] == [(1, "accepted"), (7, outcome)]


def test_memory_time_and_warnings_count_as_findings() -> None:
    case = {"outcome": "accepted", "seconds": 11.0, "more_bytes": 2 << 30, "stray_warnings": ["overflow"]}
    assert robustness_watch.found_in(case) == ["hang", "memory", "stray warning"]
    assert robustness_watch.found_in({"outcome": "refused", "seconds": 0.1, "more_bytes": 0}) == []


def test_a_killed_command_leaves_the_old_or_the_new_profile(work: Path) -> None:
    found = kills_of(Remove(work / "scratch" / "kills"), 6, copies=False)
    assert found["findings"] == {}
    assert sum(found["left"].values()) == 6
