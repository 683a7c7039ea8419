"""Engines on disk with real files and real processes: built once, complete or dropped, never by two at a time."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from metaser.runtime import Engine
from metaser.runtime.bundles.bundle import golden_vectors
from metaser.runtime.errors import BundleError, WorkError
from metaser.runtime.providers.session import PROVIDERS, session_options
from metaser.runtime.tensorrt.engine_cache import MARKER, EngineCache, cache_key, is_complete

FACTS = {
    "sha256": "ab" * 32,
    "precision": "fp16",
    "onnxruntime": "1.23.0",
    "tensorrt": "10.3.0",
    "gpu": "Orin",
    "compute_capability": "8.7",
}


class Builder:
    """Writes an engine of two files and counts how often."""

    def __init__(self) -> None:
        self.builds = 0

    def __call__(self, folder: Path) -> None:
        self.builds += 1
        (folder / "net.engine").write_bytes(b"engine " * 1000)
        (folder / "deeper").mkdir()
        (folder / "deeper" / "net.profile").write_bytes(b"profile")


def load(folder: Path) -> bytes:
    return (folder / "net.engine").read_bytes()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, lines: list[str]) -> EngineCache:
    return EngineCache(tmp_path / "engines", lines.append)


def test_the_second_opening_builds_nothing_and_reports_nothing(cache: EngineCache, lines: list[str]) -> None:
    build = Builder()
    assert cache.open(FACTS, build, load) == b"engine " * 1000
    assert lines[0].startswith("building the engine for this device, once")
    assert lines[-1] == "built the engine in 0 s"
    lines.clear()
    assert cache.open(dict(reversed(FACTS.items())), build, load) == b"engine " * 1000
    assert (build.builds, lines) == (1, [])
    assert sorted(path.name for path in cache.root.iterdir()) == sorted(["lock", cache_key(FACTS)])


@pytest.mark.parametrize("name", FACTS)
def test_a_change_of_any_fact_is_another_engine_and_the_first_stays(cache: EngineCache, name: str) -> None:
    build = Builder()
    cache.open(FACTS, build, load)
    cache.open({**FACTS, name: "another"}, build, load)
    assert build.builds == 2
    cache.open(FACTS, build, load)
    assert build.builds == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "removed", "no marker", "marker cut", "marker of another"])
def test_a_broken_engine_is_dropped_and_built_again(cache: EngineCache, lines: list[str], damage: str) -> None:
    build = Builder()
    cache.open(FACTS, build, load)
    folder = cache.root / cache_key(FACTS)
    engine, marker = folder / "net.engine", folder / MARKER
    if damage == "cut":
        engine.write_bytes(engine.read_bytes()[:-1])
    elif damage == "flipped":
        engine.write_bytes(b"E" + engine.read_bytes()[1:])
    elif damage == "removed":
        (folder / "deeper" / "net.profile").unlink()
    elif damage == "no marker":
        marker.unlink()
    elif damage == "marker cut":
        marker.write_text(marker.read_text()[:-9])
    else:
        marker.write_text(marker.read_text().replace("8.7", "8.9"))
    lines.clear()
    assert cache.open(FACTS, build, load) == b"engine " * 1000
    assert build.builds == 2
    assert lines[0] == "the engine in the cache is damaged: building it again"
    assert is_complete(folder, FACTS)


def test_a_complete_engine_that_does_not_load_is_built_once_more(cache: EngineCache, lines: list[str]) -> None:
    build = Builder()
    cache.open(FACTS, build, load)

    def refuse_the_first(folder: Path) -> bytes:
        if build.builds == 1:
            raise BundleError("made with another driver")
        return load(folder)

    assert cache.open(FACTS, build, refuse_the_first) == b"engine " * 1000
    assert build.builds == 2
    assert any("does not load (made with another driver): building it again" in line for line in lines)

    def refuse(_: Path) -> bytes:
        raise BundleError("never")

    with pytest.raises(BundleError, match="never"):
        cache.open(FACTS, build, refuse)
    assert build.builds == 3


def test_a_real_provider_compiles_once_and_runs_what_it_compiled_also_after_damage(
    engine: Engine, cache: EngineCache, lines: list[str]
) -> None:
    name = "optimised.onnx"

    def build(folder: Path) -> None:
        options = session_options()
        options.optimized_model_filepath = str(folder / name)
        onnxruntime.InferenceSession(engine.bundle.folder / "encoder.onnx", options, providers=[PROVIDERS["cpu"]])

    def load(folder: Path) -> onnxruntime.InferenceSession:
        options = session_options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(folder / name, options, providers=[PROVIDERS["cpu"]])

    waveform = golden_vectors(engine.bundle)["waveform"]
    feeds = {"input_values": waveform[None], "input_lengths": np.array([len(waveform)], np.int64)}

    def answers() -> bool:
        frames = cache.open(FACTS, build, load).run(["last_hidden_state"], feeds)[0][0]
        return np.allclose(frames, engine.model.frames(waveform), atol=1e-5)

    assert answers()
    lines.clear()
    assert answers()
    assert not lines
    compiled = cache.root / cache_key(FACTS) / name
    compiled.write_bytes(compiled.read_bytes()[:-1])
    assert answers()
    assert lines[0] == "the engine in the cache is damaged: building it again"
    assert lines[-1].startswith("built the engine in")


def test_a_failed_build_leaves_nothing_and_keeps_its_error(cache: EngineCache) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise BundleError("the parser refuses it")

    with pytest.raises(BundleError, match="the parser refuses it"):
        cache.open(FACTS, fail, load)
    assert [path.name for path in cache.root.iterdir()] == ["lock"]


def test_a_build_that_writes_no_file_is_said(cache: EngineCache) -> None:
    with pytest.raises(WorkError, match="built an engine but did not write it"):
        cache.open(FACTS, lambda _: None, load)
    assert [path.name for path in cache.root.iterdir()] == ["lock"]


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(WorkError, match="cannot write"):
        EngineCache(tmp_path / "file" / "engines", print).open(FACTS, Builder(), load)


def test_a_long_build_says_that_it_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []

    def build(folder: Path) -> None:
        time.sleep(0.3)
        (folder / "net.engine").write_bytes(b"x")

    EngineCache(tmp_path / "engines", lines.append, tell_every_s=0.05).open(FACTS, build, load)
    assert 2 <= sum(line.startswith("building the engine: ") for line in lines) <= 6


PROCESS = textwrap.dedent("""
    import signal, sys, time
    from pathlib import Path
    from metaser.runtime.tensorrt.engine_cache import EngineCache

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started in the background
    root, log, seconds, facts = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), {"gpu": sys.argv[4]}

    def build(folder):
        with log.open("a") as file:
            file.write("begin\\n")
        (folder / "half").write_bytes(b"half")
        print("building", flush=True)
        time.sleep(seconds)
        while (root.parent / "hold").exists():
            time.sleep(0.01)
        (folder / "net.engine").write_bytes(b"engine")
        with log.open("a") as file:
            file.write("end\\n")

    notify = lambda line: print(line, flush=True)
    print(EngineCache(root, notify).open(facts, build, lambda folder: (folder / "net.engine").read_text()), flush=True)
""")


def process(tmp_path: Path, seconds: float, gpu: str = "Orin") -> subprocess.Popen[str]:
    words = [str(tmp_path / "engines"), str(tmp_path / "log"), str(seconds), gpu]
    return subprocess.Popen([sys.executable, "-c", PROCESS, *words], stdout=subprocess.PIPE, text=True)


def wait_for(running: subprocess.Popen[str], said: str) -> None:
    assert running.stdout is not None
    while (line := running.stdout.readline()) != f"{said}\n":
        assert line


def test_processes_that_come_at_once_build_one_engine_and_all_get_it(tmp_path: Path) -> None:
    running = [process(tmp_path, 0.5) for _ in range(4)]
    outputs = [each.communicate(timeout=60)[0] for each in running]
    assert [each.returncode for each in running] == [0] * 4
    assert all(output.splitlines()[-1] == "engine" for output in outputs)
    assert (tmp_path / "log").read_text().split() == ["begin", "end"]


def test_two_different_engines_are_built_one_after_the_other(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    first = process(tmp_path, 0.0, "one")
    wait_for(first, "building")
    second = process(tmp_path, 0.0, "two")
    wait_for(second, "another process is building an engine: waiting for it")
    hold.unlink()
    for each in (first, second):
        each.communicate(timeout=60)
    assert (tmp_path / "log").read_text().split() == ["begin", "end", "begin", "end"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_was_killed_leaves_neither_an_engine_nor_a_lock(tmp_path: Path, end: signal.Signals) -> None:
    killed = process(tmp_path, 60.0)
    wait_for(killed, "building")
    killed.send_signal(end)
    killed.communicate(timeout=60)
    root = tmp_path / "engines"
    assert not is_complete(root / cache_key({"gpu": "Orin"}), {"gpu": "Orin"})
    output = process(tmp_path, 0.0).communicate(timeout=60)[0]
    assert "waiting" not in output
    assert output.splitlines()[-1] == "engine"
    assert (tmp_path / "log").read_text().split() == ["begin", "begin", "end"]
    assert sorted(path.name for path in root.iterdir()) == sorted(["lock", cache_key({"gpu": "Orin"})])
