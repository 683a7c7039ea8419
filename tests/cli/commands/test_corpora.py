"""`metaser corpora`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import soundfile

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]


def test_a_corpus_is_counted_with_its_problems(run: Run, support_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    shutil.copytree(support_folder, folder)
    (folder / "calm" / "empty.wav").touch()
    result = run("corpora", folder, "--json")
    assert result.returncode == 0
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert found.pop("minutes") == 6 * 1.5 / 60
    (problem,) = found.pop("problems")
    assert problem == {"file": str(folder / "calm" / "empty.wav"), "reason": "an empty file"}
    assert found == {
        "folder": str(folder),
        "corpus": "voices",
        "clips": 6,
        "classes": {"calm": 3, "keen": 3},
        "speakers": {},
        "languages": [],
        "sample_rates_hz": [16_000],
    }
    text = run("corpora", folder).stdout
    for words in ("6 in 0.1 minutes", "2: calm 3, keen 3", "unknown", "16000 Hz", "empty.wav: an empty file"):
        assert words in text


def test_manifests_and_several_corpora_are_read(run: Run, support_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    clip = support_folder / "calm" / "0.wav"
    table.write_text(f"path,label,speaker,language,corpus\n{clip},north,p1,en,accents\n")
    found = [json.loads(line) for line in run("corpora", table, support_folder, "--json").stdout.splitlines()]
    assert [entry["clips"] for entry in found] == [1, 6]
    assert (found[0]["classes"], found[0]["speakers"]) == ({"north": 1}, {"accents/p1": 1})


def test_long_lists_are_cut_for_people(run: Run, support_folder: Path, tmp_path: Path) -> None:
    samples, rate_hz = soundfile.read(support_folder / "calm" / "0.wav")
    folder = tmp_path / "many"
    for speaker in range(30):
        (folder / "calm" / f"s{speaker:02}").mkdir(parents=True)
        soundfile.write(folder / "calm" / f"s{speaker:02}" / "a.wav", samples * (1 - speaker / 100), rate_hz)
        (folder / "calm" / f"s{speaker:02}" / "b.wav").touch()
    text = run("corpora", folder).stdout
    assert "18 more" in text
    assert "and 10 more; --json lists all" in text


def test_strict_reports_and_then_refuses_what_cannot_be_used(run: Run, support_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    shutil.copytree(support_folder, folder)
    assert run("corpora", folder, "--strict").returncode == 0
    (folder / "calm" / "empty.wav").touch()
    result = run("corpora", folder, "--strict", "--json")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert len(json.loads(result.stdout)["problems"]) == 1
    assert "1 of 7 clips cannot be used and --strict does not allow skipping them" in result.stderr


def test_what_is_no_corpus_is_refused(refused: Refused, tmp_path: Path) -> None:
    assert refused("corpora", tmp_path / "absent").startswith("no such folder")
    (tmp_path / "note").touch()
    assert refused("corpora", tmp_path / "note").endswith("note is a file: give a folder")
    assert "has no audio files" in refused("corpora", tmp_path)
