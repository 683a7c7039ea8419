"""Where a profile may lie: in a file, behind a link, in a mount point; never in a pipe or a device."""

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from metaser.runtime import NotFoundError, Profile, ProfileError, WorkError, forget, undo
from metaser.runtime.enrolment.profile_file import undo_path
from tests.runtime.enrolment.test_profile import make_profile

OLDEST, OLD, NEW = (make_profile([0, 1, 2, 3], seed=seed) for seed in range(3))
NAME = "me.safetensors"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's address is short
        try:
            end.bind(path.name)
        finally:
            os.chdir(here)


def make_dangling(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


def make_loop(path: Path) -> None:
    path.symlink_to(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may make a device")
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no device may be made here")


PLACES: dict[str, Callable[[Path], None]] = {
    "a named pipe": make_pipe,
    "a socket": make_socket,
    "a link to": make_dangling,
    "a link that leads back to itself": make_loop,
    "a folder": make_folder,
    "a device": make_device,
}


@pytest.mark.parametrize("what", PLACES)
def test_what_is_no_file_is_neither_replaced_nor_read(tmp_path: Path, what: str) -> None:
    path = tmp_path / NAME
    PLACES[what](path)
    before = path.lstat()
    for use in (NEW.save, Profile.load, undo):
        with pytest.raises(ProfileError, match=f"is {what}.*: give a file for the profile"):
            use(path)
    with pytest.raises((ProfileError, NotFoundError), match=f"is {what}|nothing to forget"):
        forget(path)
    after = path.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for use in (NEW.save, Profile.load, undo, forget):
        with pytest.raises(ProfileError, match="not a path, as it contains a zero byte"):
            use(tmp_path / "a\0b")


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A link to a profile in another folder."""
    (tmp_path / "store").mkdir()
    OLD.save(tmp_path / "store" / "real")
    (tmp_path / NAME).symlink_to(tmp_path / "store" / "real")
    return tmp_path / NAME


def test_behind_a_link_the_file_is_changed_undone_and_forgotten(link: Path) -> None:
    store = link.parent / "store"
    NEW.save(link)
    assert link.is_symlink()
    assert Profile.load(store / "real").embeddings.tobytes() == NEW.embeddings.tobytes()
    assert sorted(path.name for path in store.iterdir()) == ["real", "real.undo"]
    assert sorted(link.parent.iterdir()) == [link, store]
    assert undo_path(link) == undo_path(store / "real") == store / "real.undo"
    undo(link)
    assert link.is_symlink()
    assert Profile.load(store / "real").embeddings.tobytes() == OLD.embeddings.tobytes()
    NEW.save(link)
    (store / ".real.left.tmp").write_bytes(b"an interrupted write")
    assert set(forget(link)) == {store / ".real.left.tmp", store / "real.undo", store / "real", link}
    assert list(link.parent.rglob("*")) == [store]


def test_what_is_left_of_a_profile_whose_file_is_gone_is_forgotten_behind_a_link(link: Path) -> None:
    NEW.save(link)
    (link.parent / "store" / "real").unlink()
    assert link.is_symlink()
    forget(link)
    assert list(link.parent.rglob("*")) == [link.parent / "store"]


@pytest.mark.parametrize("mode", [0o640, 0o664])
def test_a_profile_keeps_its_mode_and_a_new_one_is_its_owners_alone(tmp_path: Path, mode: int) -> None:
    path = tmp_path / NAME
    before = os.umask(0)
    try:
        OLD.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(mode)
        NEW.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE(undo_path(path).stat().st_mode) == mode
    undo(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@root_only
def test_a_profile_keeps_its_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / NAME
    OLD.save(path)
    os.chown(path, 12_345, 23_456)
    NEW.save(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 23_456)
    undo(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 23_456)


@root_only
def test_a_profile_whose_owner_may_not_be_given_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / NAME
    OLD.save(path)
    path.chmod(0o660)
    os.chown(path, 12_345, 23_456)
    before = path.stat()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", refuse)
    NEW.save(path)
    after = path.stat()
    assert (after.st_ino, after.st_uid, after.st_mode) == (before.st_ino, before.st_uid, before.st_mode)
    assert Profile.load(path).embeddings.tobytes() == NEW.embeddings.tobytes()
    assert stat.S_IMODE(undo_path(path).stat().st_mode) == 0o600  # its group is another one
    assert sorted(tmp_path.iterdir()) == [path, undo_path(path)]


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile that cannot be renamed over, such as a mount point."""
    path = tmp_path / NAME
    OLDEST.save(path)
    OLD.save(path)
    replace = os.replace

    def busy(source: Path, target: Path) -> None:
        if Path(target) == path:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(source), None, str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    return path


def test_a_profile_that_is_a_mount_is_changed_in_place(mounted: Path) -> None:
    inode, first = mounted.stat().st_ino, mounted.read_bytes()
    NEW.save(mounted)
    assert mounted.stat().st_ino == inode
    assert Profile.load(mounted).embeddings.tobytes() == NEW.embeddings.tobytes()
    assert undo_path(mounted).read_bytes() == first
    undo(mounted)
    assert mounted.stat().st_ino == inode
    assert mounted.read_bytes() == first
    assert list(mounted.parent.iterdir()) == [mounted]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", range(3))
def test_a_write_in_place_that_fails_puts_everything_back(
    mounted: Path, monkeypatch: pytest.MonkeyPatch, call: int, number: int
) -> None:
    before = {path: path.read_bytes() for path in mounted.parent.iterdir()}
    pwrite, calls = os.pwrite, 0

    def fail(descriptor: int, content: bytes, offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == call + 1:
            raise OSError(number, os.strerror(number))
        return pwrite(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(WorkError, match=os.strerror(number)):
        NEW.save(mounted)
    assert {path: path.read_bytes() for path in mounted.parent.iterdir()} == before


def test_a_mount_that_may_not_be_written_leaves_no_undo_copy(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undo_path(mounted).unlink()
    before, open_file = mounted.read_bytes(), os.open

    def read_only(path: Path, flags: int, mode: int = 0o777, **others: int) -> int:
        if Path(path) == mounted and flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open_file(path, flags, mode, **others)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(WorkError, match="Read-only file system; choose a writable place"):
        NEW.save(mounted)
    assert mounted.read_bytes() == before
    assert list(mounted.parent.iterdir()) == [mounted]


def test_a_folder_that_may_not_be_written_is_named_if_the_file_in_it_may(
    mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, open_file = mounted.read_bytes(), os.open

    def read_only(path: Path, flags: int, mode: int = 0o777, **others: int) -> int:
        if flags & os.O_CREAT and Path(path).parent == mounted.parent:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open_file(path, flags, mode, **others)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(
        WorkError, match=f"cannot write in {mounted.parent}, the folder of {NAME}: Read-only file system"
    ):
        NEW.save(mounted)
    assert mounted.read_bytes() == before


CUT = """
import errno, os, sys
from pathlib import Path
from tests.runtime.enrolment.test_profile import make_profile
path, calls_left = Path(sys.argv[1]), int(sys.argv[2])
replace, pwrite, fsync = os.replace, os.pwrite, os.fsync
def busy(source, target):
    if Path(target) == path:
        raise OSError(errno.EBUSY, "busy")
    replace(source, target)
def cut(descriptor, content, offset):
    global calls_left
    calls_left -= 1
    if calls_left < 0:
        pwrite(descriptor, content[:len(content) // 2], offset)
        os._exit(9)
    return pwrite(descriptor, content, offset)
os.replace, os.pwrite, os.fsync = busy, cut, lambda descriptor: None
make_profile([0, 1, 2, 3], seed=2).save(path)
os._exit(calls_left)
"""


@pytest.mark.parametrize("calls", range(4))
def test_a_write_in_place_that_was_killed_is_finished_by_the_next_open(tmp_path: Path, calls: int) -> None:
    path = tmp_path / NAME
    OLD.save(path)
    first = path.read_bytes()
    NEW.save(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "whole").unlink()
    done = subprocess.run([sys.executable, "-c", CUT, path, str(calls)], cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == (9 if calls < 3 else 0)
    assert (path.read_bytes() == whole) == (calls >= 2)  # half of the size's eight bytes tell it
    loaded = Profile.load(path)
    assert loaded.embeddings.tobytes() == NEW.embeddings.tobytes()
    assert path.read_bytes() == whole
    assert undo_path(path).read_bytes() == first
    assert sorted(tmp_path.iterdir()) == [path, undo_path(path)]


@pytest.mark.parametrize("left", [0, 7, 100])
def test_a_cut_profile_whose_place_cannot_be_written_is_read_from_its_copy(
    mounted: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    whole = mounted.read_bytes()
    (mounted.parent / f".{NAME}.unfinished.tmp").write_bytes(whole)
    mounted.write_bytes(bytes(8)[:left] + whole[8:left])

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert Profile.load(mounted).embeddings.tobytes() == OLD.embeddings.tobytes()
    assert Profile.load(mounted).embeddings.tobytes() == OLD.embeddings.tobytes()
    assert mounted.read_bytes() == whole
    assert sorted(mounted.parent.iterdir()) == [mounted, undo_path(mounted)]


def test_who_reads_while_a_profile_is_written_in_place_gets_a_whole_one(
    mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite

    def slow(descriptor: int, content: bytes, offset: int) -> int:
        return pwrite(descriptor, content[:200], offset)

    monkeypatch.setattr(os, "pwrite", slow)
    profiles = (OLD, NEW)

    def write() -> None:
        for turn in range(1, 8):
            profiles[turn % 2].save(mounted)

    writer = Thread(target=write)
    writer.start()
    read = []
    while writer.is_alive():
        read.append(Profile.load(mounted).embeddings.tobytes())
    writer.join()
    assert set(read) <= {profile.embeddings.tobytes() for profile in profiles}


MOUNT = """
import os, sys
from pathlib import Path
from subprocess import run
from metaser.runtime import Profile, forget, undo
from tests.runtime.enrolment.test_profile import make_profile
folder = Path(sys.argv[1])
path, outside = folder / "in" / "p", folder / "outside"
outside.touch(); path.parent.mkdir(); path.touch()
run(["mount", "--bind", outside, path], check=True)
old, new = (make_profile([0, 1], seed=seed) for seed in (1, 2))
old.save(path)
new.save(path)
assert Profile.load(outside).embeddings.tobytes() == new.embeddings.tobytes()
undo(path)
assert Profile.load(outside).embeddings.tobytes() == old.embeddings.tobytes()
assert list(path.parent.iterdir()) == [path]
new.save(path)
assert len(forget(path)) == 2
assert outside.read_bytes() == b"" and list(path.parent.iterdir()) == [path]
"""


@root_only
def test_a_bind_mounted_profile_is_changed_undone_and_emptied(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mounts may be made here")
    command = [unshare, "--mount", sys.executable, "-c", MOUNT, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_failed_change_leaves_the_older_undo_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / NAME
    OLDEST.save(path)
    OLD.save(path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    replace = os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(target) == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(WorkError, match="check it, and choose another place"):
        NEW.save(path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_undo_copy_that_is_no_file_stops_a_change_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / NAME
    OLD.save(path)
    before = path.read_bytes()
    os.mkfifo(undo_path(path))
    with pytest.raises(ValueError, match=r"undo is a named pipe: choose another path"):
        NEW.save(path)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [path, undo_path(path)]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permissions"),
        (errno.EPERM, "permissions"),
        (errno.EROFS, "choose a writable place"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.ENOTDIR, "is a file and not a folder"),
        (errno.EISDIR, "is a folder"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENODEV, "choose another place"),
    ],
)
def test_a_write_that_fails_says_why_and_speaks_of_space_only_if_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(WorkError) as caught:
            NEW.save(tmp_path / NAME)
    message = str(caught.value)
    assert message.startswith(f"cannot write {tmp_path / NAME}: {os.strerror(number)}; ")
    assert words in message
    assert ("space" in message.partition("; ")[2]) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_one_line_for_reading_and_writing(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="File name too long; give a shorter name"):
        NEW.save(tmp_path / ("x" * 255))
    with pytest.raises(ProfileError, match="File name too long; give a shorter name"):
        Profile.load(tmp_path / ("x" * 300))
