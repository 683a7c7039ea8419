"""Messages for a path of the wrong kind."""

import os
from pathlib import Path

from metaser.runtime.system.os_errors import not_found


def test_what_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    assert str(not_found(tmp_path / "a", "folder")) == f"no such folder: {tmp_path / 'a'}"
    assert str(not_found(tmp_path / "a", "file")) == f"no such file: {tmp_path / 'a'}"


def test_what_is_something_else_is_named_by_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "clip.wav"
    file.touch()
    os.mkfifo(pipe := tmp_path / "pipe")
    assert str(not_found(file, "folder")) == f"{file} is a file: give a folder"
    assert str(not_found(tmp_path, "file")) == f"{tmp_path} is a folder: give a file"
    assert str(not_found(pipe, "folder")) == f"{pipe} is a device, a pipe or a socket: give a folder"
