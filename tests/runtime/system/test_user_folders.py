"""Folders of a user with a home folder, with a read-only one, and without any."""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import metaser.runtime
from metaser.runtime import InputError, WorkError
from metaser.runtime.system import user_folders
from metaser.runtime.system.user_folders import (
    cache_folder,
    can_write,
    data_folder,
    default_profile,
    expand_home,
    runtime_folder,
    state_folder,
)

VARIABLES = ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "METASER_PROFILE")
NOBODY_KNOWN = 54_321
"""A user id without a passwd entry."""

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without a passwd entry")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without any of the variables, and a temporary folder of the test's own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(folder))
    monkeypatch.setattr(user_folders, "RUNTIME_FOLDERS", tmp_path / "none")
    return folder


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that the system does not know."""

    def unknown(user: object) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that nobody can write, not even root."""
    home = tmp_path / "home"
    home.mkdir()
    access = os.access

    def refused(path: Path, mode: int) -> bool:
        return not (Path(path).is_relative_to(home) and mode & os.W_OK) and access(path, mode)

    monkeypatch.setattr(os, "access", refused)
    monkeypatch.setenv("HOME", str(home))
    return home


def test_the_folders_lie_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local/share/metaser"
    assert default_profile() == tmp_path / ".local/share/metaser/profile.safetensors"
    assert cache_folder() == tmp_path / ".cache/metaser"
    assert state_folder() == tmp_path / ".local/state/metaser"


@pytest.mark.parametrize(
    ("variable", "folder"),
    [("XDG_DATA_HOME", data_folder), ("XDG_CACHE_HOME", cache_folder), ("XDG_STATE_HOME", state_folder)],
)
@pytest.mark.usefixtures("homeless")
def test_a_variable_of_its_own_needs_no_home_folder(
    variable: str, folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "own"))
    assert folder() == tmp_path / "own/metaser"


@pytest.mark.usefixtures("homeless")
def test_without_a_home_folder_there_is_no_place_for_a_profile_and_the_error_says_what_to_set() -> None:
    with pytest.raises(InputError, match=r"no home folder .* give --profile FILE, or set METASER_PROFILE or HOME"):
        data_folder()


@pytest.mark.parametrize("folder", [cache_folder, state_folder, runtime_folder])
@pytest.mark.usefixtures("homeless")
def test_without_a_home_folder_the_rest_lies_in_a_private_temporary_folder(
    folder: Callable[[], Path], temporary: Path
) -> None:
    found = folder()
    assert found.parent == temporary / f"metaser-{os.getuid()}"
    assert found.parent.stat().st_mode & 0o777 == 0o700
    assert folder() == found


@pytest.mark.parametrize("folder", [cache_folder, state_folder])
def test_a_read_only_home_is_kept_for_the_profile_and_not_for_the_rest(
    folder: Callable[[], Path], read_only: Path, temporary: Path
) -> None:
    assert data_folder() == read_only / ".local/share/metaser"
    assert folder().parent == temporary / f"metaser-{os.getuid()}"


def test_a_read_only_folder_is_kept_if_it_exists_or_a_variable_asks_for_it(
    read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (read_only / ".cache/metaser").mkdir(parents=True)
    assert cache_folder() == read_only / ".cache/metaser"  # what was put there can be read
    monkeypatch.setenv("XDG_STATE_HOME", str(read_only / "state"))
    assert state_folder() == read_only / "state/metaser"


@pytest.mark.usefixtures("homeless")
def test_a_temporary_folder_that_others_can_write_is_refused(temporary: Path) -> None:
    folder = temporary / f"metaser-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(WorkError, match="others can write it: set HOME or TMPDIR"):
        cache_folder()
    folder.rmdir()
    (temporary / "theirs").mkdir(mode=0o700)
    folder.symlink_to(temporary / "theirs")
    with pytest.raises(WorkError, match="belongs to another user"):
        cache_folder()


@pytest.mark.usefixtures("homeless")
def test_a_temporary_folder_that_is_not_there_is_one_line(temporary: Path) -> None:
    temporary.rmdir()
    with pytest.raises(WorkError, match="no folder for temporary files"):
        state_folder()


def test_the_runtime_folder_is_that_of_the_session_or_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "run" / str(os.getuid())
    system.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(user_folders, "RUNTIME_FOLDERS", tmp_path / "run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "not there"))
    assert runtime_folder() == system / "metaser"
    (tmp_path / "session").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    assert runtime_folder() == tmp_path / "session/metaser"


def test_the_sign_of_the_home_folder_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_home("~/p") == tmp_path / "p"
    assert expand_home("a/~/p") == Path("a/~/p")


@pytest.mark.usefixtures("homeless")
def test_the_sign_of_a_home_folder_that_nobody_knows_is_one_line() -> None:
    for path, name in (("~/p", "~"), ("~nobody-at-all/p", "~nobody-at-all")):
        with pytest.raises(InputError, match=rf"no home folder is known for {name}: give the whole path"):
            expand_home(path)


def test_what_can_be_written_is_found_without_writing(tmp_path: Path, read_only: Path) -> None:
    (tmp_path / "file").touch()
    assert can_write(tmp_path / "new/below")
    assert can_write(tmp_path / "file")
    assert not can_write(tmp_path / "file/below")
    assert not can_write(read_only / "new/below")


@contextmanager
def searchable(folders: Sequence[Path]) -> Iterator[None]:
    """Let all users access pytest's own folders, which only their owner may read, during the block."""
    modes = {folder: folder.stat().st_mode & 0o7777 for folder in folders}
    closed = {folder: mode for folder, mode in modes.items() if not mode & 0o001}
    for folder, mode in closed.items():
        folder.chmod(mode | 0o011)
    try:
        yield
    finally:
        for folder, mode in closed.items():
            folder.chmod(mode)


def said_by_a_stranger(shared: Path, environment: dict[str, str]) -> list[str]:
    """Where a process of an unknown user keeps its cache and its data, or why not; `shared` is for temporary files."""
    source = Path(next(iter(metaser.runtime.__path__))).parents[1]
    code = f"""
import sys
sys.path.insert(0, {str(source)!r})
import metaser.runtime.system.user_folders as folders, platformdirs  # before they become unreadable
import os
os.setgid({NOBODY_KNOWN}), os.setuid({NOBODY_KNOWN})
print(folders.cache_folder())
try:
    print(folders.data_folder())
except folders.InputError as error:
    print(error)
"""
    shared.chmod(0o1777)
    with searchable(shared.parents):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"TMPDIR": str(shared), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stderr == ""
    return done.stdout.splitlines()


@as_root
def test_a_user_without_a_passwd_entry_gets_its_folders_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    assert said_by_a_stranger(tmp_path / "shared", {}) == [
        f"{tmp_path}/shared/metaser-{NOBODY_KNOWN}/cache",
        "no home folder to keep a profile in: give --profile FILE, or set METASER_PROFILE or HOME",
    ]


@as_root
def test_a_home_folder_of_another_user_is_as_good_as_none_for_caches(tmp_path: Path) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    home.mkdir(mode=0o700)
    (home / ".cache/metaser").mkdir(parents=True)
    shared.mkdir()
    assert said_by_a_stranger(shared, {"HOME": str(home)}) == [
        f"{shared}/metaser-{NOBODY_KNOWN}/cache",
        f"{home}/.local/share/metaser",
    ]
