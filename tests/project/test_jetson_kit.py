"""The files for a Jetson, as far as they can be checked without one."""

import json
import os
import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KIT = ROOT / "examples" / "jetson"
DEMO = ROOT / "runtime" / "metaser" / "runtime" / "data" / "demo"
UNIT = KIT / "metaser-stream.service"


@pytest.fixture
def service() -> dict[str, str]:
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # names of directives have capitals
    unit.read(UNIT)
    return dict(unit["Service"])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_service() -> None:
    words = ["systemd-analyze", "verify", str(UNIT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert UNIT.name not in done.stderr  # of other units on this machine it may complain


def test_the_service_has_a_user_of_its_own_and_no_network_and_comes_back(service: dict[str, str]) -> None:
    assert service["User"] not in ("", "root")
    assert service["Restart"] == "on-failure"
    assert (service["PrivateNetwork"], service["RestrictAddressFamilies"]) == ("yes", "AF_UNIX")
    assert (service["ProtectSystem"], service["ProtectHome"], service["NoNewPrivileges"]) == ("strict", "yes", "yes")
    assert service["CapabilityBoundingSet"] == ""


def test_the_command_of_the_service_appends_json_to_its_log(service: dict[str, str], tmp_path: Path) -> None:
    shell, flag, command = re.fullmatch(r"(\S+) (-c) '(.+)'", service["ExecStart"]).groups()  # type: ignore[union-attr]
    log = tmp_path / "events.jsonl"
    log.write_text('{"event": "earlier"}\n')
    metaser = f"{sys.executable} -m metaser.cli"
    for there, here in (
        ("/opt/metaser/bin/metaser", metaser),
        ("/var/log/metaser/events.jsonl", str(log)),
        ("--mic", str(DEMO / "support" / "joy" / "en-f2.flac")),
    ):
        assert there in command
        command = command.replace(there, here)
    env = {**os.environ, "METASER_PROFILE": str(tmp_path / "profile.safetensors")}
    enroll = [*metaser.split(), "enroll", str(DEMO / "support")]
    for words in (enroll, [shell, flag, command]):
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert events[0]["event"] == "earlier"
    assert [event["label"] for event in events if event["event"] == "leave"] == ["joy"]


def test_the_shell_lines_of_the_dockerfile_are_shell() -> None:
    joined = (KIT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.removeprefix("RUN ") for line in joined.splitlines() if line.startswith("RUN ")]
    assert len(lines) == 3
    for line in lines:
        assert subprocess.run(["sh", "-n", "-c", line], check=False).returncode == 0  # noqa: S607 # the system's shell
