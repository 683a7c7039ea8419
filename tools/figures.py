"""Write measured figures from benchmarks/results into the README and the pages of docs/.

    python -m tools.figures            write the blocks of every page, and docs/models.md
    python -m tools.figures --check    write nothing; end with 1 if a page does not match the results

A block of a page lies between `<!-- NAME -->` and `<!-- end of NAME -->`. Its text is in tools/blocks/PAGE.md, between
the same marks, with `{RESULT/key/key:FORMAT}` for each figure. `SHORT = RESULT/key` outside the blocks is a short name.

    {main_job/enroll_command_s:.2f}                 a format of Python, or one of tools/figure_formats.py
    {latency/cases/seconds=4,threads=2/runs:}       the entry of a list with these numbers; a single number is an index
    {max tuning_guard_default/judged/*/kept:}   `max` or `min` over all matching keys
    {-experiment_heads/…/emodb disjoint:points}     the difference with the opposite sign
    {tables/bundles:}                               a whole table
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.machine import read_result
from metaser.runtime.system.files import SHARED, replace_text
from tools.api_page import api_reference
from tools.archive_cost import cost_table
from tools.figure_formats import FORMATS
from tools.models_page import ROOT, models_page, shipped_table
from tools.results_tables import gains_table

BLOCKS = Path(__file__).parent / "blocks"
BLOCK = re.compile(r"<!-- (?P<name>[\w ]+) -->\n(?P<text>.*?)\n<!-- end of (?P=name) -->", re.DOTALL)
SHORT = re.compile(r"^(\w+) = (.+)$", re.MULTILINE)
FIGURE = re.compile(r"\{(?:(min|max) )?(-?)([^{}]+):([^{}:]*)\}")
REDUCE: dict[str, Callable[[list[Any]], Any]] = {"min": min, "max": max}


def accuracy_table() -> str:
    """The accuracy of `default`, compared with `frozen`; the model cards have the other corpora."""
    others = ("crema-d disjoint", "emovo disjoint", "emotiontts disjoint")
    return gains_table(read_result("default_accuracy")["scores"]["5 shots"], "default", others)


TABLES: dict[str, Callable[[], str]] = {
    "bundles": shipped_table,
    "accuracy": accuracy_table,
    "archive_cost": cost_table,
    "reference": cache(api_reference),
}
"""Name -> a text that is generated from the results or from the code."""


def entries(value: Any, key: str) -> list[Any]:
    """The values that a key of a path matches."""
    if not isinstance(value, list):
        return [value[key]] if key in value else [value[one] for one in value if fnmatch(one, key)]
    if key.isdecimal():
        return value[int(key) : int(key) + 1]
    wanted = dict(condition.split("=") for condition in key.split(","))
    return [one for one in value if all(f"{one[field]:g}" == number for field, number in wanted.items())]


def values(value: Any, keys: list[str]) -> Iterator[Any]:
    """Yield the values that a path matches."""
    if not keys:
        yield value
        return
    for entry in entries(value, keys[0]):
        yield from values(entry, keys[1:])


def reversed_difference(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Invert a difference: b minus a from a minus b."""
    over = entry["by_speakers"]
    return {**entry, "mean": -entry["mean"], "by_speakers": over and [-over[1], -over[0]]}


def figure(reduce: str | None, minus: str, path: str, form: str) -> str:
    """The text of a figure.

    Raises:
        LookupError: the results hold no such figure, or several without `min` or `max`.
    """
    name, *keys = path.split("/")
    found: list[Any] = [TABLES[keys[0]]()] if name == "tables" else list(values(read_result(name), keys))
    if not found or (len(found) > 1 and not reduce):
        raise LookupError(f"benchmarks/results/{name}.json has {len(found)} figures under {'/'.join(keys)}, not one")
    value = REDUCE[reduce](found) if reduce else found[0]
    value = reversed_difference(value) if minus else value
    return FORMATS[form](value) if form in FORMATS else format(value, form)


def with_blocks(text: str, template: str) -> str:
    """The text of a page with the blocks of its template, filled in.

    Raises:
        LookupError: a block is in only one of the two, or a figure is not in the results.
    """
    short = dict(SHORT.findall(BLOCK.sub("", template)))
    new = {block["name"]: block["text"] for block in BLOCK.finditer(template)}
    names = [block["name"] for block in BLOCK.finditer(text)]
    if sorted(names) != sorted(new):
        raise LookupError(f"the page has the blocks {names}, and its file in tools/blocks has {list(new)}")

    def filled_figure(place: re.Match[str]) -> str:
        name, *keys = place[3].split("/", 1)
        return figure(place[1], place[2], "/".join([short.get(name, name), *keys]), place[4])

    def filled(block: re.Match[str]) -> str:
        words = FIGURE.sub(filled_figure, new[block["name"]])
        return f"<!-- {block['name']} -->\n{words}\n<!-- end of {block['name']} -->"

    return BLOCK.sub(filled, text)


def page_of(template: Path) -> Path:
    """The page of a file of tools/blocks."""
    return ROOT / ("." if template.name == "README.md" else "docs") / template.name


def pages() -> dict[Path, str]:
    """Every page with figures, and its expected text."""
    texts = {ROOT / "docs" / "models.md": models_page()}
    for template in sorted(BLOCKS.glob("*.md")):
        page = page_of(template)
        texts[page] = with_blocks(page.read_text(encoding="utf-8"), template.read_text(encoding="utf-8"))
    return texts


def write_pages() -> None:
    """Write every page with figures."""
    for page, text in pages().items():
        replace_text(page, text, mode=SHARED)


def stale_pages() -> list[str]:
    """The pages that do not match the results."""
    return sorted(page.name for page, text in pages().items() if page.read_text(encoding="utf-8") != text)


def main() -> None:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a page is stale")
    try:
        if not parser.parse_args().check:
            write_pages()
        elif stale := stale_pages():
            parser.exit(1, f"does not match benchmarks/results: {', '.join(stale)}; run python -m tools.figures\n")
    except LookupError as error:
        parser.exit(1, f"{error.args[0]}\n")


if __name__ == "__main__":
    main()
