"""Which profile a command takes, from an option or from the environment, and changes of one by several at once."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import TypeAlias

import numpy as np
import pytest
import soundfile

from metaser.runtime import Profile

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Start: TypeAlias = Callable[..., Popen[str]]
Refused: TypeAlias = Callable[..., str]
ClipMaker: TypeAlias = Callable[[str, float, int], np.typing.NDArray[np.float32]]


@pytest.fixture
def home(tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and a working folder next to it."""
    folder = tmp_path / "person"
    folder.mkdir()
    settings["HOME"] = str(folder)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


def test_a_tilde_in_the_environment_is_the_home_folder(
    run: Run, settings: dict[str, str], home: Path, support_folder: Path, tiny_bundle: Path
) -> None:
    shutil.copytree(tiny_bundle, home / "bundle")
    settings.update(METASER_PROFILE="~/p", METASER_BUNDLE="~/bundle")
    result = run("enroll", support_folder)
    assert result.returncode == 0
    assert [path.name for path in home.iterdir() if path.is_file()] == ["p"]
    assert "Next:  metaser classify clip.wav\n" in result.stdout  # the environment sets the rest
    assert list(Path.cwd().iterdir()) == []
    facts = json.loads(run("info", "--json").stdout)
    assert (facts["profile"]["file"], facts["bundle"]["folder"]) == (str(home / "p"), str(home / "bundle"))


@pytest.mark.parametrize("words", [("--profile=~/p",), ("--profile", "~/p")])
def test_a_tilde_in_an_option_is_the_home_folder_too(
    run: Run, home: Path, support_folder: Path, words: tuple[str, ...]
) -> None:
    shutil.copytree(support_folder, home / "support")
    result = run("enroll", "~/support", *words)
    assert f"metaser classify clip.wav --profile {home / 'p'}" in result.stdout
    assert run("classify", "~/support/calm/0.wav", *words).returncode == 0
    assert run("forget", "--yes", *words).stdout == f"Deleted {home / 'p'}\n"
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.usefixtures("home")
def test_a_home_folder_that_nobody_has_is_refused_in_one_line(refused: Refused, settings: dict[str, str]) -> None:
    assert "no home folder is known for ~nobody-here" in refused("info", "--profile", "~nobody-here/p")
    settings["METASER_PROFILE"] = "~nobody-here/p"
    assert "no home folder is known for ~nobody-here" in refused("info")


def test_a_file_whose_name_begins_with_a_tilde_is_taken_as_it_is(run: Run, home: Path, enrolled: Path) -> None:
    assert home.is_dir()
    assert enrolled.is_file()
    clip = Profile.load(enrolled).clips[0]
    shutil.copy(clip.path, "~draft.wav")
    assert json.loads(run("classify", "~draft.wav", "--json").stdout)["label"] == clip.label


@pytest.mark.usefixtures("home")
def test_an_empty_variable_counts_as_not_set(run: Run, settings: dict[str, str], support_folder: Path) -> None:
    settings.update(METASER_PROFILE="", XDG_DATA_HOME=str(Path.cwd()))
    assert run("enroll", support_folder).returncode == 0
    (profile,) = [path for path in Path.cwd().rglob("*") if path.is_file()]
    assert profile == Path.cwd() / "metaser" / "profile.safetensors"
    settings["METASER_BUNDLE"] = ""
    assert json.loads(run("info", "--json", "--profile", "absent").stdout)["bundle"]["name"] == "default"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["", "newdir/", "newdir/.", ".", ".."])
def test_a_profile_that_names_no_file_is_refused(refused: Refused, support_folder: Path, name: str) -> None:
    assert refused("enroll", support_folder, "--profile", name).endswith("give a file for the profile")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("what", ["a named pipe", "a link to", "a folder"])
def test_every_command_refuses_a_profile_that_is_no_file(
    run: Run, refused: Refused, support_folder: Path, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "place"
    if what == "a named pipe":
        os.mkfifo(path)
    elif what == "a folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "absent")
    before = path.lstat().st_ino
    clip = support_folder / "calm" / "0.wav"
    changes = (("enroll", support_folder), ("enroll", "--undo"), ("reenroll",), ("calibrate", "--reset"))
    for words in (*changes, ("classify", clip), ("stream", clip), ("info",)):
        assert f"{path} is {what}" in refused(*words, "--profile", path)
    result = run("forget", "--yes", "--profile", path)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert f"is {what}" in " ".join(run("doctor", "--profile", path).stdout.split())
    assert path.lstat().st_ino == before
    assert not (tmp_path / "absent").exists()


def test_a_map_is_not_drawn_over_a_pipe(run: Run, refused: Refused, enrolled: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    os.mkfifo(tmp_path / "pipe.png")
    before = enrolled.read_bytes()
    line = refused("enroll", "--remove", "calm/0.wav", "--plot", tmp_path / "pipe.png")
    assert line == f"{tmp_path / 'pipe.png'} is a named pipe: choose another path"
    assert refused("bench", "--plot", tmp_path / "pipe.png") == line
    assert (tmp_path / "pipe.png").is_fifo()
    assert enrolled.read_bytes() == before
    (tmp_path / "kept").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "kept" / "map.png")
    (tmp_path / "kept" / "map.png").touch()
    assert run("enroll", "--plot", tmp_path / "link.png").returncode == 0
    assert (tmp_path / "kept" / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def added(make_clip: ClipMaker, tmp_path: Path) -> list[Path]:
    """Four folders with one new clip each."""
    folders = [tmp_path / f"add{number}" for number in range(4)]
    for number, folder in enumerate(folders):
        (folder / "calm").mkdir(parents=True)
        soundfile.write(folder / "calm" / f"new{number}.wav", make_clip("calm", 1.5, 100 + number), 16_000)
    return folders


def test_clips_that_four_processes_add_at_once_are_all_in_the_profile(
    start: Start, enrolled: Path, added: list[Path]
) -> None:
    running = [start("enroll", "--add", folder) for folder in added]
    for process in running:
        with process:
            _, errors = process.communicate(timeout=100)
            assert process.returncode == 0, errors
    names = [clip.name for clip in Profile.load(enrolled).clips if clip.label == "calm"]
    assert sorted(names) == ["0.wav", "1.wav", "2.wav", "new0.wav", "new1.wav", "new2.wav", "new3.wav"]


HOLD = """
import sys
from metaser.runtime import profile_lock
with profile_lock(sys.argv[1]):
    print(flush=True)
    sys.stdin.read()
"""


def test_a_change_waits_for_another_process_and_says_so(
    run: Run, enrolled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", HOLD, str(enrolled)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        lines: list[str] = []

        def release(line: str) -> None:
            lines.append(line)
            holder.communicate()

        monkeypatch.setattr("metaser.cli.commands.enroll.print_status", release)
        assert run("enroll", "--remove", "calm/0.wav").returncode == 0
    assert lines == [f"another metaser process is changing {enrolled}: waiting for it"]
    assert len(Profile.load(enrolled).clips) == 5


@pytest.mark.usefixtures("enrolled")
def test_showing_the_choices_of_calibration_writes_nothing(run: Run, profile: Path) -> None:
    before = profile.stat()
    assert run("calibrate").returncode == 0
    assert profile.stat().st_mtime_ns == before.st_mtime_ns
    assert list(profile.parent.iterdir()) == [profile]


def test_a_link_is_forgotten_with_the_file_behind_it(run: Run, enrolled: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(enrolled)
    run("enroll", "--remove", "calm/0.wav", "--profile", link)
    assert link.is_symlink()
    assert json.loads(run("info", "--json", "--profile", link).stdout)["profile"]["undo"] is True
    lines = run("forget", "--yes", "--profile", link).stdout
    assert lines == f"Deleted {enrolled}.undo\nDeleted {enrolled}\nDeleted {link}\n"
    assert list(enrolled.parent.iterdir()) == []


def test_every_command_that_is_advised_names_the_profile_that_was_used(
    run: Run, refused: Refused, support_folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.safetensors"
    option = f" --profile {own}"
    assert f"no profile at {own}: make one with `metaser enroll SUPPORT/{option}`" in refused(
        "classify", "a.wav", "--profile", own
    )
    said = run("enroll", support_folder, "--profile", own).stdout
    assert f"To change this: metaser calibrate{option}\n" in said
    assert "restore the previous" not in said
    said = run("enroll", "--remove", "keen/0.wav", "--profile", own).stdout
    assert f"To restore the previous profile: metaser enroll --undo{option}\n" in said
    shown = "".join(run("info", "--profile", own).stdout.split())
    assert f"metaser enroll --undo{option} restores".replace(" ", "") in shown
    assert f"`metaser forget{option}`" in refused("enroll", "--remove", "keen", "--profile", own)
    own.write_bytes(own.read_bytes()[:-1])
    assert f"go back with `metaser enroll --undo{option}`" in refused("classify", "a.wav", "--profile", own)
    assert "`metaser enroll SUPPORT/`" in refused("classify", "a.wav")


def test_no_way_back_is_offered_if_nothing_changed(run: Run, support_folder: Path) -> None:
    run("enroll", support_folder)
    assert "To restore" in run("enroll", "--remove", "keen/0.wav").stdout
    assert "To restore" in run("enroll", "--add", support_folder).stdout
    assert "To restore" not in run("enroll", "--add", support_folder).stdout
