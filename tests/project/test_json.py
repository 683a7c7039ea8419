"""docs/json.md names the keys that the commands print, with their types."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import soundfile
from typer.testing import CliRunner

from metaser.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "integer": (int,),
    "object": (dict,),
    "list": (list,),
    "true": (bool,),
    "false": (bool,),
    "null": (type(None),),
}
FEW = ("--n-way", "2", "--k-shot", "1", "--n-query", "1", "--episodes", "2", "--speakers", "any")
COMMANDS = {
    "enroll": ("{support}",),
    "classify": ("{clip}",),
    "stream": ("{clip}",),
    "label": ("{support}", "{out}"),
    "test": ("{new}",),
    "calibrate": (),
    "reenroll": (),
    "info": (),
    "verify": (),
    "doctor": (),
    "bench": ("--runs", "1", "--warm-up", "0", "--repetitions", "1", "--window", "1"),
    "demo": (),
    "corpora": ("{support}",),
    "evaluate": ("{bundle}", "--corpus", "{support}", *FEW, "--cache", "{cache}"),
}


def documented(command: str) -> dict[str, str]:
    """Key -> type, from the table below the command's heading."""
    return keys_below(f"## {command}")


def keys_below(heading: str) -> dict[str, str]:
    """Key -> type, from the table below a heading."""
    section = re.split(rf"^{heading}$", PAGE, flags=re.MULTILINE)[1].split("\n##")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([\w ]+?) \|", section, flags=re.MULTILINE))


def test_every_section_is_a_command_that_is_run_here() -> None:
    assert set(re.findall(r"^## (\w+)$", PAGE, flags=re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_table_is_what_the_command_prints(
    command: str, tiny_bundle: Path, support_folder: Path, tmp_path: Path
) -> None:
    places = {
        "support": support_folder,
        "clip": support_folder / "calm" / "0.wav",
        "bundle": tiny_bundle,
        "cache": tmp_path / "cache",
        "new": tmp_path / "new",
        "out": tmp_path / "out",
    }
    samples, rate_hz = soundfile.read(places["clip"])
    (tmp_path / "new" / "calm").mkdir(parents=True)
    soundfile.write(tmp_path / "new" / "calm" / "backwards.wav", samples[::-1], rate_hz)
    env = {"METASER_BUNDLE": str(tiny_bundle), "METASER_PROFILE": str(tmp_path / "profile.safetensors")}

    def run(*words: str) -> list[dict[str, Any]]:
        result = CliRunner().invoke(app, [*(word.format(**places) for word in words), "--json"], env=env)
        assert result.exit_code == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    run("enroll", *COMMANDS["enroll"])
    types = documented(command)
    printed = run(command, *COMMANDS[command])
    assert printed
    for line in printed:
        assert_documented(line, types)
    if command == "label":
        rows = (tmp_path / "out" / "labels.jsonl").read_text().splitlines()
        for row in rows:
            assert_documented(json.loads(row), keys_below("### Rows of metaser label"))


def assert_documented(line: dict[str, Any], types: dict[str, str]) -> None:
    """Check that an object has exactly the keys of a table, with their types."""
    assert set(line) == set(types)
    for key, value in line.items():
        allowed = tuple(kind for word in types[key].split(" or ") for kind in TYPES[word])
        assert type(value) in allowed, (key, value)
