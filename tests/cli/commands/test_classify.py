"""`metaser classify`."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.runtime import Engine, Profile, load_audio

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
Run: TypeAlias = Callable[..., CompletedProcess[str]]
BadClip: TypeAlias = Callable[[str], tuple[Path, str]]
Refused: TypeAlias = Callable[..., str]


@pytest.fixture
def queries(make_clip: ClipMaker, tmp_path: Path) -> list[Path]:
    """Two clips that are not enrolled, calm and keen."""
    paths = [tmp_path / f"{label} [bold].wav" for label in ("calm", "keen")]
    for path in paths:
        soundfile.write(path, make_clip(path.name.split()[0], 1.25, 20), 16_000)
    return paths


@pytest.mark.usefixtures("enrolled")
def test_every_file_gets_one_json_line_with_the_right_label(run: Run, queries: list[Path]) -> None:
    result = run("classify", *queries, "--json")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0
    assert [list(answer) for answer in answers] == 2 * [
        ["file", "label", "confidence", "scores", "duration_s", "notices", "provider"]
    ]
    assert [answer["file"] for answer in answers] == [str(path) for path in queries]
    assert [answer["label"] for answer in answers] == ["calm", "keen"]
    for answer in answers:
        assert answer["confidence"] == max(answer["scores"].values()) > 0.5
        assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert (answer["duration_s"], answer["provider"]) == (1.25, "cpu")


@pytest.mark.usefixtures("enrolled")
def test_people_get_a_table_with_names_as_they_are(run: Run, queries: list[Path]) -> None:
    result = run("classify", *queries)
    assert result.returncode == 0
    for path, label in zip(queries, ("calm", "keen"), strict=True):
        (line,) = (line for line in result.stdout.splitlines() if str(path) in line)
        assert line.split(str(path))[1].split()[0] == label
        assert "━" in line


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize(
    "kind", ["absent", "unreadable", "empty", "no samples", "silent", "not a number", "clipped", "short", "long"]
)
def test_a_bad_file_has_its_line_and_the_others_their_labels(
    run: Run, queries: list[Path], bad_clip: BadClip, kind: str
) -> None:
    path, words = bad_clip(kind)
    result = run("classify", queries[0], path, queries[1], "--json")
    assert result.returncode == 2
    assert [json.loads(line)["label"] for line in result.stdout.splitlines()] == ["calm", "keen"]
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert "bad.wav" in result.stderr


def test_without_a_profile_no_file_is_opened(refused: Refused, queries: list[Path]) -> None:
    assert "make one with `metaser enroll SUPPORT/`" in refused("classify", queries[0], "absent.wav")


@pytest.mark.usefixtures("enrolled")
def test_a_profile_of_another_bundle_is_refused(
    refused: Refused, run: Run, queries: list[Path], other_bundle: Callable[[str], Path]
) -> None:
    assert "another model" in refused("classify", queries[0], "--bundle", other_bundle("model_id"))
    sibling = other_bundle("graph_id")
    assert "--accept-precision" in refused("classify", queries[0], "--bundle", sibling)
    assert run("classify", queries[0], "--bundle", sibling, "--accept-precision").returncode == 0


@pytest.mark.parametrize("content", [b"", b"no profile", b"\xff" * 64])
def test_a_damaged_profile_is_refused(refused: Refused, profile: Path, content: bytes, queries: list[Path]) -> None:
    profile.parent.mkdir()
    profile.write_bytes(content)
    assert "damaged" in refused("classify", queries[0])


@pytest.mark.usefixtures("enrolled")
def test_a_bad_bundle_is_refused(refused: Refused, bad_bundle: tuple[Path, str], queries: list[Path]) -> None:
    folder, words = bad_bundle
    assert words in refused("classify", queries[0], "--bundle", folder)


@pytest.mark.usefixtures("enrolled")
def test_threads_below_one_are_refused(refused: Refused, queries: list[Path]) -> None:
    assert "threads is 0" in refused("classify", queries[0], "--threads", "0")


@pytest.mark.usefixtures("enrolled")
def test_an_absent_provider_is_a_missing_dependency(run: Run, queries: list[Path]) -> None:
    result = run("classify", queries[0], "--provider", "cuda")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (3, "", 1)


@pytest.mark.usefixtures("enrolled")
@pytest.mark.skipif(os.name == "nt", reason="file names are bytes on POSIX only")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_name_that_is_no_text_is_labelled_too(run: Run, queries: list[Path], options: tuple[str, ...]) -> None:
    odd = queries[0].with_name(os.fsdecode(b"odd\xff.wav"))
    queries[0].rename(odd)
    result = run("classify", odd, *options)
    assert result.returncode == 0
    assert r"odd\udcff.wav" in result.stdout


@pytest.mark.usefixtures("enrolled")
def test_a_folder_stands_for_its_recordings_and_csv_has_a_row_for_each(run: Run, queries: list[Path]) -> None:
    folder = queries[0].parent / "inbox"
    (folder / "deep").mkdir(parents=True)
    for path in queries:
        path.rename(folder / "deep" / path.name)
    (folder / "notes.txt").write_text("no recording")
    result = run("classify", folder, "--format", "csv")
    assert result.returncode == 0
    header, *rows = csv.reader(result.stdout.splitlines())
    assert header == ["file", "label", "confidence", "calm", "keen"]
    assert [(row[0], row[1]) for row in rows] == [
        (str(folder / "deep" / path.name), path.name.split()[0]) for path in queries
    ]
    assert all(float(row[2]) == max(float(row[3]), float(row[4])) for row in rows)
    assert "notes.txt" in result.stderr


@pytest.mark.usefixtures("enrolled")
def test_csv_protects_a_spreadsheet_from_file_names(run: Run, queries: list[Path], monkeypatch: Any) -> None:
    monkeypatch.chdir(queries[0].parent)
    queries[0].rename(queries[0].with_name("=cmd.wav"))
    assert "\n'=cmd.wav,calm," in run("classify", "=cmd.wav", "--format", "csv").stdout


@pytest.mark.usefixtures("enrolled")
def test_a_folder_without_recordings_and_two_formats_are_refused(refused: Refused, queries: list[Path]) -> None:
    (queries[0].parent / "empty").mkdir()
    assert "no recordings" in refused("classify", queries[0].parent / "empty")
    assert "either --json or --format csv" in refused("classify", queries[0], "--json", "--format", "csv")


@pytest.mark.usefixtures("enrolled")
def test_an_unknown_clip_shows_no_confidence_as_if_it_were_sure(run: Run, profile: Path, queries: list[Path]) -> None:
    loaded = Profile.load(profile)
    replace(loaded, calibration=replace(loaded.calibration, threshold=1.0)).save(profile)
    (line,) = (line for line in run("classify", queries[0]).stdout.splitlines() if "unknown" in line)
    assert "%" not in line


@pytest.mark.usefixtures("enrolled")
def test_a_long_recording_is_labelled_with_a_hint_at_streams(run: Run, make_clip: ClipMaker, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", make_clip("calm", 21, 3), 16_000)
    result = run("classify", tmp_path / "talk.wav")
    assert result.returncode == 0
    assert "21 s of audio get one label: a stream labels it" in result.stderr


@pytest.mark.usefixtures("enrolled")
def test_a_decision_prints_what_the_command_prints(
    run: Run, tiny_bundle: Path, profile: Path, queries: list[Path]
) -> None:
    engine = Engine.open(tiny_bundle)
    decision = engine.classify(load_audio(queries[0]), Profile.load(profile))
    printed = json.loads(run("classify", queries[0], "--json").stdout)
    assert json.loads(decision.to_json()) == {key: printed[key] for key in ("label", "confidence", "scores")}


@pytest.fixture
def demo(settings: dict[str, str]) -> Path:
    """The shipped support set; METASER_BUNDLE is not set."""
    del settings["METASER_BUNDLE"]
    return Path(str(files("metaser.runtime"))) / "data" / "demo" / "support"


def test_a_profile_brings_its_shipped_bundle(run: Run, demo: Path) -> None:
    assert run("enroll", demo, "--bundle", "tiny").returncode == 0
    answer = run("classify", demo / "joy" / "en-f2.flac", "--json")
    assert json.loads(answer.stdout)["label"] == "joy"


def test_a_profile_of_a_bundle_that_is_not_shipped_asks_for_it(run: Run, demo: Path, tiny_bundle: Path) -> None:
    assert run("enroll", demo, "--bundle", tiny_bundle).returncode == 0
    result = run("classify", demo / "joy" / "en-f2.flac")
    assert (result.returncode, result.stdout) == (2, "")
    assert "use it with --bundle" in result.stderr


def test_a_profile_that_is_not_reliable_says_so_with_every_answer(
    run: Run, support_folder: Path, tmp_path: Path, queries: list[Path], conversation: Path
) -> None:
    mixed = tmp_path / "mixed"
    for number, path in enumerate(sorted(support_folder.rglob("*.wav"))):
        folder = mixed / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number}.wav")
    assert "do not use it" in run("enroll", mixed).stdout
    hint = "Do not rely on these labels: "
    for words in (("classify", queries[0]), ("classify", *queries), ("stream", conversation)):
        said = run(*words, "--json").stderr
        assert said.count(hint) == 1
        assert "`metaser enroll --report` shows what to do." in said
    assert "do not use it" in " ".join(run("info").stdout.split())


@pytest.mark.usefixtures("enrolled")
def test_a_clip_without_speech_has_a_notice(run: Run, tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(32_000)
    soundfile.write(tmp_path / "noise.wav", noise, 16_000)
    answer = json.loads(run("classify", tmp_path / "noise.wav", "--json").stdout)
    assert answer["notices"] == ["no speech was found, so the label is that of a sound"]


def test_csv_keeps_its_columns_apart_from_labels_of_their_name(
    run: Run, support_folder: Path, queries: list[Path], tmp_path: Path
) -> None:
    support = tmp_path / "odd"
    for label, folder in (("label", "calm"), ("confidence", "keen")):
        shutil.copytree(support_folder / folder, support / label)
    assert run("enroll", support).returncode == 0
    (row,) = csv.DictReader(run("classify", queries[0], "--format", "csv").stdout.splitlines())
    assert list(row) == ["file", "label", "confidence", "score of confidence", "score of label"]
    assert row["label"] in {"label", "confidence", ""}
