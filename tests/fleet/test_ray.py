"""Jobs and the server on a real Ray cluster of this machine.

`make test-fleet` runs these tests; elsewhere they are skipped, because Ray is not part of the development extras.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import soundfile

from metaser.runtime import Engine, load_audio
from metaser.runtime.bundles.bundle import shipped_folder

ray = pytest.importorskip("ray", reason="needs Ray: make test-fleet")
websockets = pytest.importorskip("websockets.asyncio.client")

ROOT = Path(__file__).parents[2]
DEMO = shipped_folder() / "demo"
RATE_HZ = 16_000
REPLICAS = 2
START_S = 120.0


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of the demo's clips; not to be changed."""
    path = tmp_path_factory.mktemp("profiles") / "me.safetensors"
    Engine.open().enroll(DEMO / "support").save(path)
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 clips, a conversation and a file that is no recording; not to be changed."""
    folder = tmp_path_factory.mktemp("recordings")
    clips = sorted((DEMO / "support").rglob("*.flac"))
    for number in range(60):
        (folder / f"{number:02}.flac").write_bytes(clips[number % len(clips)].read_bytes())
    (folder / "talk.flac").write_bytes((DEMO / "conversation.flac").read_bytes())
    (folder / "zero.wav").write_bytes(b"no audio")
    return folder


def command(recordings: Path, out: Path, profile: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "metaser.cli", "label", str(recordings), str(out), "--profile", str(profile), *words]


def label(recordings: Path, out: Path, profile: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(recordings, out, profile, *words), capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def expected(recordings: Path, profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a job on this machine without Ray."""
    out = tmp_path_factory.mktemp("expected") / "out"
    assert label(recordings, out, profile).returncode == 2
    return out


def assert_equal(out: Path, expected: Path) -> None:
    for name in ("labels.csv", "labels.jsonl", "speakers.json"):
        assert (out / name).read_bytes() == (expected / name).read_bytes()


def test_rows_are_those_of_a_local_job_and_nothing_of_ray_is_printed(
    recordings: Path, profile: Path, expected: Path, tmp_path: Path
) -> None:
    done = label(recordings, tmp_path / "out", profile, "--engine", "ray")
    assert done.returncode == 2, done.stderr
    assert_equal(tmp_path / "out", expected)
    lines = done.stderr.splitlines()
    assert [line for line in lines if "ray" in line.lower()] == []
    assert lines[-1].endswith("speakers.json.")


def test_a_killed_job_is_continued_on_ray_and_without_it(
    recordings: Path, profile: Path, expected: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for words in (["--engine", "ray"], [], ["--engine", "ray"]):
        with subprocess.Popen(
            command(recordings, out, profile, *words), start_new_session=True, stderr=subprocess.DEVNULL
        ) as process:
            shards = out / "shards"
            before = len(list(shards.glob("*.jsonl"))) if shards.is_dir() else 0
            until = time.monotonic() + START_S
            while time.monotonic() < until and process.poll() is None:
                if shards.is_dir() and len(list(shards.glob("[!.]*.jsonl"))) > before:
                    break
                time.sleep(0.02)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert label(recordings, out, profile, "--engine", "ray").returncode == 2
    assert_equal(out, expected)
    again = label(recordings, out, profile, "--engine", "ray")
    assert again.returncode == 2
    assert_equal(out, expected)


def test_an_error_of_an_actor_is_one_line(recordings: Path, profile: Path, tmp_path: Path) -> None:
    done = label(recordings, tmp_path / "out", profile, "--engine", "ray", "--provider", "cuda")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("metaser: ")
    assert "Traceback" not in done.stderr


def test_no_cluster_at_the_address_is_one_line(
    recordings: Path, profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    done = label(recordings, tmp_path / "out", profile, "--engine", "ray")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("metaser: no Ray cluster at 127.0.0.1:1")


@pytest.fixture(scope="module")
def server(profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the example on Ray Serve, with two replicas."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = tmp_path_factory.mktemp("log") / "serve.txt"
    words = [sys.executable, str(ROOT / "examples" / "ray_serve.py"), str(profile.parent), str(port)]
    with log.open("w") as output, subprocess.Popen(words, stdout=output, stderr=output) as process:
        until = time.monotonic() + START_S
        while "by 2 replicas" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield port
        process.send_signal(signal.SIGINT)
        process.wait(60)


def ask(port: int, path: str, body: bytes | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST" if body else "GET", path, body)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return json.loads(answer.read())
    finally:
        connection.close()


async def stream(port: int) -> list[dict[str, Any]]:
    """The finished segments of the conversation, sent as fast as the server takes it."""
    samples, _ = soundfile.read(DEMO / "conversation.flac", dtype="int16")
    found = []
    async with websockets.connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None) as connection:
        start = {"type": "start", "rate": RATE_HZ, "profile": "me", "live": False}
        await connection.send(json.dumps(start))
        assert json.loads(await connection.recv())["event"] == "ready"

        async def send() -> None:
            for place in range(0, len(samples), RATE_HZ // 2):
                await connection.send(samples[place : place + RATE_HZ // 2].tobytes())
            await connection.send(json.dumps({"type": "end"}))

        sending = asyncio.create_task(send())
        async for message in connection:
            event = json.loads(message)
            if event["event"] == "leave":
                found.append(event)
        await sending
    return found


def test_clips_and_streams_on_ray_serve_get_the_labels_of_the_library(server: int, profile: Path) -> None:
    engine = Engine.open(threads=1)
    mine = engine.open_profile(profile)
    path = next((DEMO / "support" / "joy").iterdir())
    decision = engine.classify(load_audio(path), mine)
    answer = ask(server, "/v1/classify?profile=me", path.read_bytes())
    assert answer["label"] == decision.label
    assert answer["confidence"] == pytest.approx(decision.confidence, abs=1e-5)

    alone = engine.stream(mine)
    samples = load_audio(DEMO / "conversation.flac")
    events = [*alone.push(samples), *alone.finish()]
    expected = [(event.label, round(event.start_s, 1)) for event in events if event.event == "leave"]

    async def together() -> list[list[dict[str, Any]]]:
        return await asyncio.gather(*(stream(server) for _ in range(6)))

    for found in asyncio.run(asyncio.wait_for(together(), 120)):
        assert [(event["label"], round(event["start_s"], 1)) for event in found] == expected


def test_a_replica_that_dies_is_replaced_and_the_other_goes_on(server: int) -> None:
    replicas = processes_of("ServeReplica:metaser")
    assert len(replicas) == REPLICAS
    os.kill(replicas[0], signal.SIGKILL)
    assert asyncio.run(asyncio.wait_for(retried(server), 90))
    until = time.monotonic() + START_S
    while set(processes_of("ServeReplica:metaser")) <= set(replicas) and time.monotonic() < until:
        time.sleep(0.5)
    assert len(set(processes_of("ServeReplica:metaser")) - {replicas[0]}) == REPLICAS
    assert ask(server, "/v1/profiles")["profiles"][0]["name"] == "me"


async def retried(port: int) -> list[dict[str, Any]]:
    """A stream, opened again if its replica is gone."""
    for _ in range(30):
        try:
            return await stream(port)
        except (OSError, websockets_errors()):  # noqa: PERF203
            await asyncio.sleep(1)
    raise AssertionError("no replica took a stream")


def websockets_errors() -> type[Exception]:
    from websockets.exceptions import WebSocketException

    return WebSocketException


def processes_of(name: str) -> list[int]:
    """The processes whose title contains a name."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if name in (process / "cmdline").read_text():
                found.append(int(process.name))
    return sorted(found)
