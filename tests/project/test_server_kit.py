"""The service and the container of the server: what can be checked without starting either."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metaser.cli.main import app

KIT = Path(__file__).parents[2] / "examples" / "server"
UNIT = KIT / "metaser-serve.service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_service_and_finds_it_closed() -> None:
    words = ["systemd-analyze", "verify", str(UNIT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    faults = [line for line in done.stderr.splitlines() if "is not executable" not in line]  # it is not installed here
    assert faults == []
    words = ["systemd-analyze", "security", "--offline=true", str(UNIT)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    (level,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(level) < 2


@pytest.mark.parametrize("path", [UNIT, KIT / "Dockerfile"], ids=lambda path: path.name)
def test_every_option_of_the_kit_is_one_of_the_command(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (command,) = re.findall(r"^(?:ExecStart|ENTRYPOINT).*$", text, flags=re.MULTILINE)
    help_page = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).stdout
    options = re.findall(r"--[a-z-]+", command)
    assert options
    assert all(option in help_page for option in options)
