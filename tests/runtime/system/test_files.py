"""Writing files: atomic, with unchanged permissions, and without leftovers of failed writes."""

import errno
import os
import stat
from pathlib import Path

import pytest

from metaser.runtime.errors import InputError, WorkError
from metaser.runtime.system.files import (
    SHARED,
    emptied,
    open_new,
    open_to_append,
    replace_file,
    replace_text,
    replacing,
    sweep,
)
from metaser.runtime.system.folders import recover, replacing_folder


@pytest.fixture(autouse=True)
def usual_umask() -> object:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_its_owners_alone_or_shared_as_the_umask_says(tmp_path: Path) -> None:
    replace_file(tmp_path / "own", b"1")
    replace_text(tmp_path / "shared", "ä", mode=SHARED)
    open_new(tmp_path / "grows").close()
    open_to_append(tmp_path / "log", mode=SHARED).close()
    modes = {path.name: mode_of(path) for path in tmp_path.iterdir()}
    assert modes == {"own": 0o600, "shared": 0o640, "grows": 0o600, "log": 0o640}
    assert (tmp_path / "shared").read_bytes() == "ä".encode()


def test_a_replaced_file_keeps_its_mode_and_its_attributes(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    replace_file(path, b"1", mode=SHARED)
    path.chmod(0o604)
    try:
        os.setxattr(path, "user.origin", b"here")
    except OSError:
        pytest.skip("this file system keeps no extended attributes")
    replace_file(path, b"2", mode=SHARED)
    assert (path.read_bytes(), mode_of(path), os.getxattr(path, "user.origin")) == (b"2", 0o604, b"here")


def test_a_library_may_put_a_file_of_its_own_under_the_new_name(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with replacing(path, mode=SHARED) as file:
        own = tmp_path / "of the library"
        own.write_bytes(b"weights")
        own.chmod(0o600)
        own.replace(file.name)
    assert (path.read_bytes(), mode_of(path)) == (b"weights", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_another_name_of_the_same_file_keeps_the_older_content(tmp_path: Path) -> None:
    path, other = tmp_path / "name", tmp_path / "backup"
    replace_file(path, b"old")
    other.hardlink_to(path)
    replace_file(path, b"new")
    assert (path.read_bytes(), other.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("bad")])
def test_what_fails_while_it_writes_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "name"
    replace_file(path, b"old")

    def write() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises((WorkError, KeyboardInterrupt, ValueError)):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [lambda path: replace_file(path, b""), open_to_append, emptied])
def test_a_pipe_a_folder_and_a_dangling_link_are_refused(tmp_path: Path, write: object) -> None:
    assert callable(write)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    (tmp_path / "folder").mkdir()
    for name, words in {"pipe": "a named pipe", "folder": "a folder", "link": "a link to .*absent, which"}.items():
        with pytest.raises(InputError, match=f"{name} is {words}.*choose another path"):
            write(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "pipe"]


def test_a_file_that_has_to_be_new_takes_no_other_files_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    (tmp_path / "file").write_text("kept")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(FileExistsError):
            open_new(path)
    assert (tmp_path / "file").read_text() == "kept"
    with pytest.raises(WorkError, match="cannot write"):
        open_new(tmp_path / "file" / "below")


def test_a_folder_takes_the_place_of_an_older_one_with_its_rights(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir(mode=0o700)
    (folder / "old").touch()
    (tmp_path / "link").symlink_to(folder)
    with replacing_folder(tmp_path / "link") as new:
        replace_file(new / "deeper" / "file", b"1", mode=SHARED)
    assert [path.name for path in folder.rglob("*")] == ["deeper", "file"]
    assert mode_of(folder) == 0o700
    assert sorted(tmp_path.iterdir()) == [folder, tmp_path / "link"]


def test_a_folder_that_cannot_be_filled_is_called_by_its_own_name(tmp_path: Path) -> None:
    with (
        pytest.raises(WorkError, match=f"cannot write {tmp_path}/bundle: File name too long; give a shorter name"),
        replacing_folder(tmp_path / "bundle") as new,
    ):
        replace_file(new / ("x" * 300), b"1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["a file", "a named pipe", "a link to"])
def test_what_is_no_folder_is_not_replaced_by_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bundle"
    if kind == "a file":
        path.touch()
    elif kind == "a named pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "absent")
    with pytest.raises(InputError, match=f"bundle is {kind}"), replacing_folder(path):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_sweeping_deletes_what_killed_writes_left_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    gone = [tmp_path / ".file.0123abcd.tmp", tmp_path / ".file.undo.0123abcd.tmp"]
    kept = [
        tmp_path / name
        for name in ("file", "file.undo", ".file.unfinished.tmp", ".file.other.0123abcd.tmp", ".other.0123abcd.tmp")
    ]
    for each in (*gone, *kept):
        each.write_bytes(b"x")
    sweep(path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_the_undo_copy_is_there_at_every_moment_of_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, undo = tmp_path / "file", tmp_path / "file.undo"
    path.write_bytes(b"second")
    undo.write_bytes(b"first")
    seen = []

    def watched(source: str | Path, to: str | Path) -> None:
        seen.append(undo.read_bytes())
        usual(source, to)
        seen.append(undo.read_bytes())

    usual = os.replace
    monkeypatch.setattr(os, "replace", watched)
    replace_file(path, b"third", undo=undo)
    assert set(seen) == {b"first", b"second"}
    assert (path.read_bytes(), undo.read_bytes()) == (b"third", b"second")
    assert sorted(tmp_path.iterdir()) == [path, undo]


def test_a_killed_write_of_a_folder_is_put_in_order(tmp_path: Path) -> None:
    folder, new, old = (tmp_path / name for name in ("folder", ".folder.new", ".folder.old"))
    new.mkdir()
    old.mkdir()
    (old / "file").write_text("old")
    recover(folder)
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "file").read_text() == "old"
    old.mkdir()
    recover(folder)
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "file").read_text() == "old"


def test_a_write_that_fails_after_a_killed_one_leaves_the_old_folder(tmp_path: Path) -> None:
    old = tmp_path / ".folder.old"
    old.mkdir()
    (old / "file").write_text("old")
    with pytest.raises(WorkError), replacing_folder(tmp_path / "folder"):
        raise WorkError("the work failed")
    assert (tmp_path / "folder" / "file").read_text() == "old"
