"""`metaser label`: what it prints, its exit codes, and how Ctrl-C stops it."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path

import pytest
import soundfile

from tests.cli.conftest import RATE_HZ, ClipMaker, Run, Start


@pytest.fixture
def recordings(run: Run, support_folder: Path, make_clip: ClipMaker, tmp_path: Path) -> Path:
    """Three clips; their classes are enrolled."""
    assert run("enroll", support_folder).returncode == 0
    folder = tmp_path / "recordings"
    folder.mkdir()
    for seed, label in enumerate(("calm", "keen", "calm")):
        soundfile.write(folder / f"{seed}.wav", make_clip(label, 1.5, 60 + seed), RATE_HZ)
    return folder


def test_a_job_prints_its_labels_and_where_the_rows_are(start: Start, recordings: Path, tmp_path: Path) -> None:
    with start("label", recordings, tmp_path / "out") as process:
        printed, status = process.communicate()
    assert process.returncode == 0, status
    assert printed.split("\n")[0].split() == ["label", "rows", "time", "share", "mean", "confidence"]
    assert printed.split("\n")[2].split()[:4] == ["calm", "2", "0:03", "67"]
    assert status.splitlines()[-1] == f"3 rows. In {tmp_path / 'out'}: labels.csv, labels.jsonl, speakers.json."
    with (tmp_path / "out" / "labels.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["calm", "keen", "calm"]


def test_json_is_one_object_and_a_row_without_a_label_gives_exit_code_2(
    start: Start, recordings: Path, tmp_path: Path
) -> None:
    (recordings / "3.wav").write_bytes(b"no audio")
    with start("label", recordings, tmp_path / "out", "--json") as process:
        printed, _ = process.communicate()
    assert process.returncode == 2
    summary = json.loads(printed)
    assert (summary["rows"], summary["failed"], summary["labels"]) == (4, 1, {"calm": 2, "keen": 1})


def test_errors_name_the_recording_on_standard_error(start: Start, recordings: Path, tmp_path: Path) -> None:
    for number in range(3, 10):
        (recordings / f"{number}.wav").write_bytes(b"no audio")
    with start("label", recordings, tmp_path / "out") as process:
        _, status = process.communicate()
    lines = [line for line in status.splitlines() if line.startswith("metaser: ")]
    assert lines[0].startswith(f"metaser: {recordings / '3.wav'}: cannot be read as audio")
    assert lines[-1] == "metaser: 2 more have no label: see the column error of labels.csv"
    assert len(lines) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_job_and_the_same_command_continues(
    start: Start, recordings: Path, tmp_path: Path, number: signal.Signals
) -> None:
    os.mkfifo(recordings / "slow.wav")
    manifest = tmp_path / "m.csv"
    manifest.write_text("path\n" + "".join(f"recordings/{name}\n" for name in ("0.wav", "1.wav", "2.wav", "slow.wav")))
    words = ("label", manifest, tmp_path / "out", "--workers", "1")
    with start(*words) as process:
        time.sleep(2.5)
        process.send_signal(number)
        _, status = process.communicate(timeout=20)
    assert process.returncode == 130
    assert status.splitlines()[-1] == "Stopped after 3 of 4 (75 %). The same command continues."
    (recordings / "slow.wav").unlink()
    with start(*words) as process:
        _, status = process.communicate()
    assert process.returncode == 2
    assert status.splitlines()[-1].startswith("4 rows. In ")


def test_options_that_do_not_fit_are_refused(run: Run, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, message in (
        (("label", recordings), "give what to label and a folder for the results"),
        (("label", recordings, out, "--tier", "Ann"), "--tier is for TextGrids"),
        (("label", recordings, out, "--segments", tmp_path / "none"), "no such file"),
        (("label", recordings, out, "--workers", "0"), "--workers"),
        (("label", tmp_path / "nowhere", out), "no such file or folder"),
        (("label", recordings, out, "--profile", tmp_path / "nobody.safetensors"), "nobody.safetensors"),
    ):
        done = run(*words)
        assert done.returncode == 2
        assert message in done.stderr
    assert not out.exists()
