"""The promises of docs/privacy.md: no network, one file that a person can see and delete, and no traces of it."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import metaser.runtime

NETWORK = {"socket", "socketserver", "ssl", "http", "urllib", "ftplib", "smtplib", "asyncio", "xmlrpc", "requests"}
PROGRAM = """
import json, sys
refused = []
def refuse(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.")):
        refused.append(event)
        raise OSError(f"{event}: this test allows no network")
sys.addaudithook(refuse)
from metaser.cli.main import app
for words in json.loads(sys.argv[1]):
    try:
        app(words)
    except SystemExit as end:
        assert not end.code, (words, end.code)
sys.stderr.write(json.dumps(refused))
"""


def run(home: Path, *commands: list[str]) -> list[str]:
    """Run commands in one process whose home is `home`; what of the network it asked Python for."""
    cleared = ("XDG_", "METASER_", "ORT_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(cleared)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        env={**env, "HOME": str(home), "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]},  # of the tests, for locks
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.splitlines()[-1])


def files(home: Path) -> set[str]:
    """All files except those of a sound server's library and the record of shown licences."""
    found = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith((".config/pulse/", ".local/state/metaser/licences/"))}


def test_no_source_of_the_runtime_imports_the_network() -> None:
    folder = Path(metaser.runtime.__file__).parent
    sources = [*folder.rglob("*.py"), *(folder.parent / "cli").rglob("*.py")]
    assert len(sources) > 50
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & NETWORK, source


def test_the_commands_ask_for_no_network_and_leave_one_file_until_forget(tmp_path: Path, support_folder: Path) -> None:
    clip = str(min((support_folder / "joy").iterdir()))
    profile = ".local/share/metaser/profile.safetensors"
    used = run(
        tmp_path,
        ["enroll", str(support_folder)],
        ["classify", clip],
        ["stream", clip, "--json"],
        ["calibrate"],
        ["verify"],
        ["info"],
        ["doctor"],
    )
    assert used == []
    assert files(tmp_path) == {profile}  # so nothing of onnxruntime's telemetry either
    assert (tmp_path / profile).stat().st_mode & 0o077 == 0  # readable by its owner alone
    assert run(tmp_path, ["enroll", "--remove", f"joy/{Path(clip).name}"]) == []
    assert files(tmp_path) == {profile, f"{profile}.undo"}
    assert run(tmp_path, ["forget", "--yes"]) == []
    assert files(tmp_path) == set()


def test_a_profile_holds_numbers_names_and_paths_and_no_audio(tmp_path: Path, support_folder: Path) -> None:
    profile = metaser.runtime.Engine.open(provider="cpu").enroll(support_folder)
    profile.save(tmp_path / "me.safetensors")
    clips = list(support_folder.rglob("*.flac"))
    # 512 numbers of 4 bytes per clip, and its metadata: less than a tenth of a second of sound
    assert (tmp_path / "me.safetensors").stat().st_size < 3_000 * len(clips)
