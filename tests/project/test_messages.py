"""Grammar of messages that hold a number or a type: "1 clip" and "an int", by `metaser.runtime.words`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLURAL = re.compile(
    r"^ (?:more )?(?:clips|classes|files|folders|labels|channels|threads|samples|runs|layers|speakers|windows|folds)\b"
)
"""What follows a number that may be 1."""

ARTICLE = re.compile(r"\b[Aa]n? $")
"""What precedes the name of a type."""


def faults(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each number with a fixed plural, and each type with a fixed article."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for before, after in zip(node.values, node.values[1:], strict=False):
            if isinstance(before, ast.FormattedValue) and isinstance(after, ast.Constant):
                if PLURAL.match(str(after.value)) and not _is_fixed(before.value):
                    yield node.lineno, ast.unparse(before) + str(after.value)
            elif (
                isinstance(before, ast.Constant)
                and isinstance(after, ast.FormattedValue)
                and ARTICLE.search(str(before.value))
                and "__name__" in ast.unparse(after)
            ):
                yield node.lineno, str(before.value) + ast.unparse(after)


def _is_fixed(value: ast.expr) -> bool:
    """Whether a value is a constant by its name, or a choice of words."""
    return ast.unparse(value).isupper() or (isinstance(value, ast.IfExp) and isinstance(value.body, ast.Constant))


def test_every_message_counts_and_names_types_by_the_shared_functions() -> None:
    files = sorted((ROOT / "runtime").rglob("*.py"))
    found = [
        f"{path.relative_to(ROOT)}:{line} {text}"
        for path in files
        for line, text in faults(path.read_text(encoding="utf-8"))
    ]
    assert len(files) > 100
    assert found == [], "use counted(number, noun) and kind_of(value)"


@pytest.mark.parametrize("line", ['f"{n} clips left"', 'f"{len(x)} more files"', 'f"it is a {type(x).__name__}"'])
def test_a_fixed_plural_and_a_fixed_article_are_found(line: str) -> None:
    assert len(list(faults(line))) == 1


@pytest.mark.parametrize("line", ["f\"{counted(n, 'clip')} left\"", 'f"{n} s of speech"', 'f"it is {kind_of(x)}"'])
def test_other_messages_are_not(line: str) -> None:
    assert list(faults(line)) == []
