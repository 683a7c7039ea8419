"""Every file below a folder is a recording, or is listed with the reason."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metaser.runtime.audio.recordings import LeftOut, find_recordings, summary
from tests.rights import without_rights


def write(path: Path, seed: int = 0, form: str = "WAV") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, 4_000)
    soundfile.write(path, noise, 16_000, format=form)
    return path


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_recordings(folder).recordings]


def reasons(folder: Path) -> dict[str, str]:
    return {each.path.relative_to(folder).as_posix(): each.reason for each in find_recordings(folder).left_out}


@pytest.mark.parametrize(
    "name",
    ["clip.wave", "clip.mpga", "clip.mp2", "clip.3ga", "clip.weba", "clip", "clip.wav.bak", "clip.WAV", "c.wav "],
)
@pytest.mark.parametrize("form", ["WAV", "MP3"])
def test_a_recording_is_found_under_any_name(tmp_path: Path, name: str, form: str) -> None:
    write(tmp_path / name, form=form)
    assert (names(tmp_path), reasons(tmp_path)) == ([name], {})


def test_a_file_called_audio_is_found_even_if_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.m4a").write_text("no audio")
    assert names(tmp_path) == ["broken.m4a"]


def test_hidden_files_and_the_junk_of_systems_are_ignored_without_a_word(tmp_path: Path) -> None:
    for name in (
        "._clip.wav", ".DS_Store", ".git/1.wav", "Thumbs.db", "desktop.ini", "__MACOSX/._1.wav", "__MACOSX/1.wav",
        "@eaDir/1.wav", "$RECYCLE.BIN/1.wav", "lost+found/1.wav", "System Volume Information/1.wav", "Icon\r",
    ):  # fmt: skip
        write(tmp_path / name)
    assert (names(tmp_path), reasons(tmp_path)) == ([], {})


def test_other_files_are_named_as_not_audio(tmp_path: Path) -> None:
    write(tmp_path / "1.wav")
    for name in ("README.txt", "labels.csv", "1.TextGrid", "empty"):
        (tmp_path / name).write_text("" if name == "empty" else "about the clips")
    assert names(tmp_path) == ["1.wav"]
    assert reasons(tmp_path) == dict.fromkeys(["1.TextGrid", "README.txt", "empty", "labels.csv"], "is not audio")
    assert all(each.is_other for each in find_recordings(tmp_path).left_out)


def test_links_are_followed_and_a_folder_is_looked_into_once(tmp_path: Path) -> None:
    write(tmp_path / "class" / "own" / "1.wav")
    write(tmp_path / "elsewhere" / "2.wav", 1)
    write(tmp_path / "alone.wav", 2)
    folder = tmp_path / "class"
    (folder / "a link").symlink_to(folder / "own")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(tmp_path / "elsewhere")
    (folder / "3.wav").symlink_to(tmp_path / "alone.wav")
    assert names(folder) == ["3.wav", "again/2.wav", "own/1.wav"]
    assert reasons(folder) == {}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    folder = tmp_path / "support" / "class"
    write(folder / "1.wav")
    write(tmp_path / "support" / "other" / "2.wav", 1)
    write(tmp_path / "far" / "3.wav", 2)
    (folder / "loop").symlink_to("..")
    (folder / "self").symlink_to(".")
    (folder / "far").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path)
    (folder / "spin").symlink_to("spin")
    assert names(folder) == ["1.wav", "far/3.wav"]
    found = reasons(folder)
    assert found.pop("spin") == "is a link to nothing"
    assert found == dict.fromkeys(["far/back", "loop", "self"], "is a link to a folder that it lies in")


def test_links_to_nothing_and_what_is_no_file_are_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "dangling.wav").symlink_to("nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket has to be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        assert reasons(tmp_path) == {
            "dangling.wav": "is a link to nothing",
            "pipe.wav": "is not a regular file",
            "socket": "is not a regular file",
        }


def test_what_may_not_be_read_is_named_with_the_words_of_the_system(tmp_path: Path) -> None:
    write(tmp_path / "good.wav")
    write(tmp_path / "locked" / "1.wav", 1)
    paths = write(tmp_path / "1.wav", 2), write(tmp_path / "no suffix", 3), tmp_path / "locked"
    with without_rights(*paths):
        assert names(tmp_path) == ["good.wav"]
        assert reasons(tmp_path) == dict.fromkeys(
            ["1.wav", "locked", "no suffix"], "cannot be read (Permission denied)"
        )
    with without_rights(tmp_path):
        assert [each.path for each in find_recordings(tmp_path).left_out] == [tmp_path]


def test_the_lines_for_people_are_few() -> None:
    broken = [LeftOut(Path(f"{number}.wav"), "is a link to nothing") for number in range(30)]
    notes = [LeftOut(Path(f"{number}.txt"), "is not audio", is_other=True) for number in range(9)]
    lines = summary([*broken, *notes])
    assert lines[0] == "Left out: 0.wav is a link to nothing"
    assert lines[-2:] == ["Left out: 10 more", "Not audio, and left out: 0.txt, 1.txt, 2.txt and 6 more"]
    assert len(lines) == 22
