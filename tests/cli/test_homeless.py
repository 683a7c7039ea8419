"""The commands for a user without HOME and without a passwd entry, as in a container with `--user`."""

import json
import pwd
import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def homeless(settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable that names a folder of the user's, and an id that the system does not know."""

    def unknown(user: object) -> None:
        raise KeyError(user)

    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "METASER_PROFILE"):
        settings.pop(name, None)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))


def test_every_command_works_with_a_profile_that_is_named(
    run: Run, support_folder: Path, profile: Path, tmp_path: Path
) -> None:
    clip = next(iter((support_folder / "calm").iterdir()))
    for words in (
        ("enroll", support_folder),
        ("classify", clip),
        ("stream", clip),
        ("calibrate",),
        ("reenroll",),
        ("info",),
        ("doctor",),
        ("forget", "--yes"),
    ):
        result = run(*words, "--profile", profile)
        assert result.returncode == 0, (words, result.stderr)
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("command", ["enroll", "classify", "stream", "calibrate", "reenroll", "forget"])
def test_without_a_profile_one_line_says_what_to_set(run: Run, support_folder: Path, command: str) -> None:
    clip = next(iter((support_folder / "calm").iterdir()))
    given = {"enroll": [support_folder], "classify": [clip], "stream": [clip]}
    result = run(command, *given.get(command, []))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "metaser: no home folder to keep a profile in: give --profile FILE, or set METASER_PROFILE or HOME"
    ]


def test_what_needs_no_profile_works(run: Run) -> None:
    assert run("verify").returncode == 0
    shown = run("info")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[-1].startswith("No profile: no home folder")


def test_doctor_says_what_to_set(run: Run) -> None:
    result = run("doctor", "--json")
    assert (result.returncode, result.stderr) == (3, "metaser: fix these first: storage\n")
    found = {check["name"]: check for check in map(json.loads, result.stdout.splitlines())}
    assert found["storage"]["state"] == "problem"
    assert "METASER_PROFILE" in found["storage"]["fix"]
