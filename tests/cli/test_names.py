"""Labels and file names, also unusual or hostile ones, are treated as data, never as paths or commands."""

import csv
import io
import json
import re
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import TypeAlias

import numpy as np
import pytest
import soundfile

from metaser.cli.commands import record
from metaser.runtime import InputError, Profile, SupportError
from metaser.runtime.enrolment.labels import safe_name

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Start: TypeAlias = Callable[..., Popen[str]]
Refused: TypeAlias = Callable[..., str]

NFC, NFD = "Ärger", unicodedata.normalize("NFD", "Ärger")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
PATHS = ("../../escaped", "{outside}", "..", ".", "", " ", "a/b", "CON", "a" * 300, ".hidden", "a\nb", "x\ty")
FORMULAS = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1")  # noqa: RUF001 # wide


@pytest.fixture
def own_support(support_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(support_folder, tmp_path / "support"))


@pytest.fixture
def called(enrolled: Path) -> Callable[[str, str], None]:
    """`called(calm, keen)` gives the profile other labels, as an older profile or one of somebody else may have."""

    def relabel(calm: str, keen: str) -> None:
        profile = Profile.load(enrolled)
        labels = {"calm": calm, "keen": keen}
        replace(profile, clips=tuple(replace(clip, label=labels[clip.label]) for clip in profile.clips)).save(enrolled)

    return relabel


def test_two_folders_of_one_word_are_one_class_and_it_is_reported(run: Run, own_support: Path) -> None:
    (own_support / "calm").rename(own_support / NFC)
    for number, label in enumerate((NFD, f"{NFC} ")):
        (own_support / label).mkdir()
        (own_support / NFC / f"{number}.wav").rename(own_support / label / f"{number}.wav")
    result = run("enroll", own_support, "--json")
    answer = json.loads(result.stdout)
    assert answer["classes"] == {"keen": 3, NFC: 3}
    (notice,) = answer["notices"]
    assert f"3 folders are one class, {NFC}" in notice
    assert notice in result.stderr


def test_labels_that_differ_in_case_stay_two_classes_and_it_is_reported(
    run: Run, own_support: Path, tmp_path: Path
) -> None:
    words = "The labels Keen and keen differ only in case"
    (tmp_path / "more" / "Keen").mkdir(parents=True)
    (own_support / "keen" / "0.wav").rename(tmp_path / "more" / "Keen" / "0.wav")
    assert "notices" in run("enroll", own_support, "--json").stdout
    result = run("enroll", "--add", tmp_path / "more", "--json")
    answer = json.loads(result.stdout)
    assert answer["classes"] == {"Keen": 1, "calm": 3, "keen": 2}
    assert answer["notices"][0].startswith(words)
    assert words in result.stderr


@pytest.mark.parametrize("label", ["unknown", "Unknown", " unknown "])
def test_a_class_called_unknown_is_refused(refused: Refused, own_support: Path, profile: Path, label: str) -> None:
    (own_support / "calm").rename(own_support / label)
    assert "the answer when a clip resembles no class" in refused("enroll", own_support)
    assert not profile.exists()


def test_a_class_called_unknown_in_an_older_profile_is_named(
    start: Start, called: Callable[[str, str], None], support_folder: Path
) -> None:
    called("Unknown", "keen")
    clip = support_folder / "calm" / "0.wav"
    for words in (("classify", clip, "--json"), ("enroll", "--remove", "Unknown/0.wav")):
        with start(*words) as process:
            _, said = process.communicate(timeout=30)
        assert process.returncode == 0
        assert said.count("has a class called Unknown, which looks like the answer") == 1


@pytest.mark.parametrize("typed", ["{}", " {} ", "{}/"])
def test_a_class_and_a_clip_are_removed_however_they_are_typed(
    run: Run, own_support: Path, profile: Path, typed: str
) -> None:
    shutil.copytree(own_support / "calm", own_support / NFD)
    for clip in (own_support / NFD).iterdir():
        samples, rate_hz = soundfile.read(clip)
        soundfile.write(clip, samples[::-1], rate_hz)
    (own_support / NFD / "0.wav").rename(own_support / NFD / f"{NFD}.wav")
    assert run("enroll", own_support).returncode == 0
    assert run("enroll", "--remove", f"{NFC}/{NFC}.wav").returncode == 0
    assert len(Profile.load(profile).clips) == 8
    assert run("enroll", "--remove", typed.format(NFD)).returncode == 0
    assert Profile.load(profile).labels == ("calm", "keen")


def test_a_recording_is_kept_by_label_where_the_locale_knows_only_ascii(
    start: Start, called: Callable[[str, str], None], conversation: Path, tmp_path: Path
) -> None:
    called(NFC, "keen")
    kept = tmp_path / "kept"
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with start("stream", conversation, "--record", kept, env=ascii_only) as process:
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "")
    assert {path.name for path in kept.iterdir() if path.is_dir()} == {NFC, "keen"}


@pytest.mark.parametrize("label", PATHS)
def test_a_label_of_a_profile_never_leads_out_of_the_folder_of_a_recording(
    run: Run, called: Callable[[str, str], None], conversation: Path, tmp_path: Path, label: str
) -> None:
    label = label.format(outside=tmp_path / "outside")
    called(label, "keen")
    before = set(tmp_path.rglob("*"))
    kept = tmp_path / "kept" / "deep"
    assert run("stream", conversation, "--record", kept).returncode == 0
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert {path.relative_to(kept).parts[:-1] for path in new} == {(), (safe_name(label),), ("keen",)}
    (track,) = kept.glob("*.txt")
    assert [len(line.split("\t")) for line in track.read_text().splitlines()] == [3, 3]


@pytest.mark.parametrize("label", [*FORMULAS, "a\nb", 'x\ty,"z"', "plain"])
def test_a_cell_of_csv_is_no_formula_and_one_line(
    run: Run, called: Callable[[str, str], None], conversation: Path, label: str
) -> None:
    called(label, "keen")
    printed = run("stream", conversation, "--format", "csv").stdout
    assert printed.count("\n") == 3
    cell = next(iter(csv.reader(io.StringIO(printed.splitlines()[1]))))[2]
    assert cell.startswith("'") == (label in FORMULAS)
    assert not CONTROL.search(cell)


@pytest.mark.parametrize("label", ["a\nb", "a\tb", "-->", "1 --> 2", "\r\n\r\n", "\x1b[31m", "\u2028", "", " ", "\x85"])
@pytest.mark.parametrize("form", ["srt", "audacity"])
def test_each_segment_is_one_record_whatever_its_label_is(
    run: Run, called: Callable[[str, str], None], conversation: Path, form: str, label: str
) -> None:
    called(label, "keen")
    printed = run("stream", conversation, "--format", form).stdout
    assert not CONTROL.search(printed)
    if form == "srt":
        records = [each.split("\n") for each in printed.removesuffix("\n\n").split("\n\n")]
        assert [(len(each), each[0], each[1].count(" --> "), each[2].count("-->")) for each in records] == [
            (3, "1", 1, 0),
            (3, "2", 1, 0),
        ]
    else:
        assert [line.count("\t") for line in printed.splitlines()] == [2, 2]


@pytest.mark.parametrize("label", ["\x1b[2Jcalm", "ca\nlm", "\x9b31m", "\u202ecalm"])
def test_control_characters_of_a_label_never_reach_the_terminal(
    run: Run, called: Callable[[str, str], None], conversation: Path, tmp_path: Path, label: str
) -> None:
    called(label, "keen")
    clip = conversation.with_name(f"clip{label.replace('/', '')}.wav")
    shutil.copy(conversation, clip)
    for words in (
        ("enroll", "--report"), ("info",), ("classify", clip), ("stream", conversation), ("calibrate",),
        ("stream", conversation, "--record", tmp_path / "kept"), ("enroll", "--remove", "none"),
        ("classify", f"{clip}x"), ("stream", conversation, "--format", "csv"), ("stream", conversation, "--json"),
        ("stream", conversation, "--format", "srt"),
    ):  # fmt: skip
        result = run(*words)
        shown = result.stdout + result.stderr
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown), words


def test_a_recording_that_begins_in_the_same_second_keeps_the_other(
    run: Run, conversation: Path, tmp_path: Path, enrolled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert enrolled.is_file()
    monkeypatch.setattr("metaser.runtime.stream.recording.time.strftime", lambda _: "heard-20260101-000000")
    for _ in range(2):
        assert run("stream", conversation, "--record", tmp_path / "kept").returncode == 0
    assert sorted(path.name for path in (tmp_path / "kept").glob("*.txt")) == [
        "heard-20260101-000000-2.txt",
        "heard-20260101-000000.txt",
    ]


@pytest.mark.usefixtures("enrolled")
def test_a_recording_that_cannot_be_written_ends_in_one_line(
    run: Run, conversation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise AssertionError  # as soundfile does on a full disk

    monkeypatch.setattr(soundfile.SoundFile, "write", write)
    result = run("stream", conversation, "--record", tmp_path / "kept", "--json")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"metaser: cannot write recordings into {tmp_path / 'kept'}: only a part was written; "
        "free space or choose another folder"
    )


@pytest.mark.parametrize("label", ["../x", "a/b", ".x", "..", "a\nb", "a\0b", "a" * 256, "__MACOSX", "lost+found"])
def test_record_refuses_a_label_that_cannot_be_a_folder(label: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be a folder name"):
        record.record(label=label, into=tmp_path)


@pytest.mark.parametrize("label", ["unknown", "UNKNOWN ", "", " "])
def test_record_refuses_a_label_that_enrolment_would_refuse(label: str, tmp_path: Path) -> None:
    with pytest.raises(SupportError):
        record.record(label=label, into=tmp_path)


def test_a_picture_takes_any_label(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from metaser.runtime.system.plot_file import drawn
    from metaser.toolkit.evaluation.charts import draw_confusion

    classes = ["$x_{$", "\x1b[31m", "😡", "_a"]  # mathematics, no shape, no glyph
    draw_confusion(tmp_path / "map.png", np.eye(4, dtype=np.int64), classes, "$x_{$y")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert drawn("\x1b[31m$") == "\ufffd[31m\\$"
