"""Locks on a profile: simultaneous changes are not lost, a wait is reported, and it ends."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from metaser.runtime import NotFoundError, Profile, WorkError, forget, profile_lock, undo
from metaser.runtime.system import locks as locks_module
from tests.runtime.enrolment.test_profile import make_profile

PROFILE = make_profile([0, 1, 2, 3])
ROOT = Path(__file__).parents[3]


def add_clip(path: Path, sha256: str) -> None:
    """Read, change and save, with enough time in between for another process to do so."""
    with profile_lock(path):
        profile = Profile.load(path)
        time.sleep(0.01)
        clip = replace(profile.clips[0], sha256=sha256, name=f"{sha256}.wav")
        profile.with_clips([clip], profile.embeddings[:1]).save(path)


def test_changes_by_several_threads_at_once_all_land(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    PROFILE.save(path)
    threads = [Thread(target=add_clip, args=(path, letter * 64)) for letter in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {clip.sha256[0] for clip in Profile.load(path).clips} == {"0", *"abcdef"}


def test_who_holds_the_lock_may_save_undo_and_forget(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    with profile_lock(path), profile_lock(path):
        PROFILE.save(path)
        make_profile([0, 1]).save(path)
        undo(path)
        forget(path)
    with pytest.raises(NotFoundError, match="nothing to forget"):
        forget(path)


HOLD = """
import sys
from metaser.runtime import profile_lock
with profile_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_wait_for_another_process_is_reported_once_and_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_module, "QUIET_S", 0.2)
    path = tmp_path / "me.safetensors"
    PROFILE.save(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    lines: list[str] = []
    with hold(path) as holder:
        with (
            pytest.raises(WorkError, match=r"has been changing .*link for 0\.1 s: try again when it is done"),
            profile_lock(link, notify=lines.append, patience_s=0.1),
        ):
            pass
        assert lines == [f"another metaser process is changing {link}: waiting for it"]
        assert Profile.load(link).clips == PROFILE.clips  # reading does not wait
        holder.communicate("")
    with profile_lock(path, notify=lines.append):
        assert len(lines) == 1


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    with hold(path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    lines: list[str] = []
    with profile_lock(path, notify=lines.append, patience_s=0):
        assert lines == []


def test_lock_files_lie_in_the_users_runtime_folder_under_a_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "people").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    path = tmp_path / "people" / "alice.safetensors"
    PROFILE.save(path)
    (file,) = [found for found in (tmp_path / "run").rglob("*") if found.is_file()]
    assert file.stat().st_size == 0
    assert "alice" not in str(file)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("case", ["none", "unwritable"])
def test_without_a_runtime_folder_the_lock_lies_beside_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    def none() -> Path:
        raise WorkError("no folder for temporary files")

    def unwritable() -> Path:
        (tmp_path / "file").touch()
        return tmp_path / "file" / "below"

    monkeypatch.setattr(locks_module, "runtime_folder", none if case == "none" else unwritable)
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "me.safetensors"
    PROFILE.save(path)
    add_clip(path, "a" * 64)
    assert len(Profile.load(path).clips) == 5
    assert [file.suffix for file in path.parent.iterdir() if file.name.startswith(".")] == [".lock"]


def test_importing_the_runtime_does_not_load_the_library_of_locks() -> None:
    code = "import sys, metaser.runtime; print('filelock' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "False\n"
