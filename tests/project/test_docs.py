"""The documentation: it builds without a warning, fetches nothing, and names every command and public name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import metaser.runtime
from metaser.cli.command_table import Commands
from tools.command_page import command_page

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built_and_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"commands"}
    assert {path.stem for path in site.glob("*.html")} == pages | {"404"}
    for page in site.glob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe)[^>]*https?://[^>]*>", page.read_text(encoding="utf-8"))
        assert tags == [], page.name


def test_the_command_page_has_every_command_with_every_option(site: Path) -> None:
    names = list(Commands())
    text = command_page()
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == names
    for option in ("--false-accepts RATE", "--add SUPPORT", "[FILE|-]", "--pick-layers"):
        assert f"| `{option}" in text
    assert "METASER_BUNDLE" in (site / "commands.html").read_text(encoding="utf-8")


def test_the_library_page_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in metaser.runtime.__all__:
        assert re.search(rf"^(### {name}|{name}\()", page, flags=re.MULTILINE), name
