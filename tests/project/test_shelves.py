"""The shelves of the code: which part imports which, no circles, and no folder or function that is too large."""

from pathlib import Path

import pytest

from tools.code_measures import PARTS, ROOT, circles, files_of, folder_imports, functions, imports

MAY_IMPORT = {
    "metaser.runtime": (),
    "metaser.diagnostics": ("metaser.runtime",),
    "metaser.toolkit": ("metaser.runtime",),
    "metaser.export": ("metaser.runtime", "metaser.toolkit"),
    "metaser.links": ("metaser.runtime",),
    "metaser.archive": ("metaser.runtime",),
    "metaser.serve": ("metaser.runtime", "metaser.links"),
    "metaser.cli": ("metaser.runtime", "metaser.diagnostics", "metaser.links", "metaser.archive"),
    "metaser.cli.commands": (
        "metaser.cli", "metaser.runtime", "metaser.diagnostics", "metaser.toolkit", "metaser.export", "metaser.links",
        "metaser.serve", "metaser.archive",
    ),
    "optimum": ("metaser.cli",),
    "benchmarks": ("metaser", "benchmarks"),
    "tools": ("metaser", "benchmarks"),
}  # fmt: skip
"""Part -> what of ours it imports besides itself. The commands start training and export when they run."""

MOST_FILES = 24
MOST_LINES = 60


def part_of(module: str) -> str:
    """The longest part that a module belongs to."""
    return max((part for part in MAY_IMPORT if is_in(module, part)), key=len)


def is_in(module: str, part: str) -> bool:
    return module == part or module.startswith(f"{part}.")


def test_each_part_imports_only_what_it_may() -> None:
    for module, targets in imports().items():
        part = part_of(module)
        allowed = (part, *MAY_IMPORT[part])
        wrong = [target for target in targets if not any(is_in(target, other) for other in allowed)]
        assert not wrong, f"{module} imports {wrong}"


def test_no_file_imports_one_that_imports_it_over_others() -> None:
    assert circles(imports()) == []


def test_no_two_folders_import_each_other() -> None:
    assert circles(folder_imports()) == []


def test_a_circle_is_found() -> None:
    arrows = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b", "d"}), "d": frozenset[str]()}
    assert circles(arrows) == [frozenset({"b", "c"})]


@pytest.mark.parametrize("part", PARTS)
def test_folders_and_functions_are_small(part: str) -> None:
    folders: dict[Path, int] = {}
    for path in files_of(part):
        folders[path.parent] = folders.get(path.parent, 0) + 1
        for name, lines in functions(path):
            assert lines <= MOST_LINES, f"{name} in {path.relative_to(ROOT)} has {lines} lines"
    assert {str(folder.relative_to(ROOT)): count for folder, count in folders.items() if count > MOST_FILES} == {}
