"""Measures of the code: files, functions, imports between folders, and import cycles.

    python -m tools.code_measures

Every import counts: at the top, in a function, or only for types.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
SOURCES = {"runtime": "runtime/metaser", "toolkit": "toolkit/metaser", "export": "export/metaser"}
PARTS = ("runtime", "toolkit", "export", "benchmarks", "tools", "tests")

Arrows = Mapping[str, frozenset[str]]
"""A file or folder -> those it imports."""


def files_of(part: str) -> list[Path]:
    """The Python files of a top-level folder."""
    return sorted((ROOT / part).rglob("*.py"))


@cache
def modules() -> dict[str, Path]:
    """Module -> file, of the package and of the benchmarks and tools."""
    found: dict[str, Path] = {}
    for part in ("runtime", "toolkit", "export", "benchmarks", "tools"):
        top = ROOT / part if part in SOURCES else ROOT
        for path in files_of(part):
            words = path.relative_to(top).with_suffix("").parts
            found[".".join(words).removesuffix(".__init__")] = path
    return found


@cache
def imports() -> Arrows:
    """Module -> the metaser modules that it imports."""
    return {name: frozenset(_imported(path)) - {name} for name, path in modules().items()}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [node.module] if not all(name in modules() for name in names) else []
        else:
            continue
        yield from (name for name in names if name in modules())


def folder_of(module: str) -> str:
    """The folder of a module; for modules at the top level, the module itself."""
    folder = modules()[module].parent
    has_folders = any(path.parent.parent == folder for path in modules().values())
    return module if has_folders else module.rpartition(".")[0]


def folder_imports() -> Arrows:
    """Folder -> the folders that its files import."""
    found: dict[str, set[str]] = {}
    for module, targets in imports().items():
        found.setdefault(folder_of(module), set()).update(map(folder_of, targets))
    return {folder: frozenset(targets - {folder}) for folder, targets in found.items()}


def circles(arrows: Arrows) -> list[frozenset[str]]:
    """Import cycles, by Tarjan's algorithm (SIAM J. Comput. 1, 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[frozenset[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in arrows.get(name, ()):
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            start = stack.index(name)
            if len(stack) - start > 1:
                found.append(frozenset(stack[start:]))
            del stack[start:]

    for name in arrows:
        if name not in order:
            visit(name)
    return found


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """The functions of a file with their lengths in lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def lines_of(path: Path) -> int:
    """The lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def spread(values: list[int]) -> str:
    """Median, 90th percentile and largest."""
    return f"{median(values):.0f} · {quantiles(values, n=10)[-1]:.0f} · {max(values)}"


def main() -> None:
    """Print all measures as Markdown tables."""
    print("| part | files | lines | lines per file, median · p90 · max | lines per function |\n|---|---|---|---|---|")
    for part in PARTS:
        paths = files_of(part)
        lengths = [lines_of(path) for path in paths]
        by_function = [length for path in paths for _, length in functions(path)]
        print(f"| {part} | {len(paths)} | {sum(lengths)} | {spread(lengths)} | {spread(by_function)} |")
    folders: dict[Path, int] = {}
    for part in PARTS:
        for path in files_of(part):
            folders[path.parent] = folders.get(path.parent, 0) + 1
    print("\n| folder | files |\n|---|---|")
    for folder, count in sorted(folders.items()):
        print(f"| {folder.relative_to(ROOT)} | {count} |")
    print("\n| folder | imports |\n|---|---|")
    for name, targets in sorted(folder_imports().items()):
        print(f"| {name} | {', '.join(sorted(targets))} |")
    print(f"\ncircles of files: {circles(imports())}\ncircles of folders: {circles(folder_imports())}")
    results = [path for path in (ROOT / "benchmarks").rglob("results/*") if path.is_file()]
    words = sum(len(path.read_text(encoding="utf-8").split()) for path in (ROOT / "docs").rglob("*.md"))
    print(f"results: {len(results)} files; docs: {words} words")


if __name__ == "__main__":
    main()
