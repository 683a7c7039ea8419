"""Plain technical English: words and turns of phrase that no text of the project uses (CONTRIBUTING.md)."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "runtime", "toolkit", "export", "benchmarks", "tools",
          "tests", "examples", "configs", "models")  # fmt: skip
KINDS = (".md", ".py", ".toml")
NOT_OURS = ("results", "data")
"""Folders of measured results and of shipped data."""

AVOIDED = {
    r"told": "reported, printed",
    r"mends?|mended|mending": "fix",
    r"anew": "again",
    r"beside": "compared with, next to",
    r"strangers?": "unseen speakers, other people",
    r"of before": "older, of an earlier version",
    r"for want of": "without, because there is no",
    r"a line a": "one line per",
    r"so many at most": "at most",
}
"""Pattern -> what to write."""


def texts() -> list[Path]:
    found = [path for place in PLACES for path in ([ROOT / place] if "." in place else (ROOT / place).rglob("*"))]
    return [
        path
        for path in found
        if path.suffix in KINDS and not set(path.relative_to(ROOT).parts) & set(NOT_OURS) and path != Path(__file__)
    ]


@pytest.mark.parametrize("avoided", AVOIDED)
def test_no_text_uses_a_turn_that_readers_stumble_over(avoided: str) -> None:
    pattern = re.compile(rf"\b(?:{avoided})\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, f"write {AVOIDED[avoided]}:\n" + "\n".join(found)


def test_a_text_with_such_a_turn_is_found() -> None:
    assert all(re.search(rf"\b(?:{avoided})\b", avoided.split("|")[0].rstrip("?")) for avoided in AVOIDED)
    assert len(texts()) > 300
