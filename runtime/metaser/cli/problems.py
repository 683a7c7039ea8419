"""Files that are left out: listed for people, as JSON, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.terminal import PlainConsole

if TYPE_CHECKING:
    from metaser.runtime.recordings import LeftOut
    from metaser.toolkit.utterances import Problem

LISTED = 20

StrictOption = Annotated[
    bool, typer.Option("--strict", help="Stop at a clip that cannot be used instead of leaving it out.")
]


def say_problems(console: PlainConsole, problems: Sequence[Problem]) -> None:
    """A line a file, so many at most."""
    for problem in problems[:LISTED]:
        console.say(f"  {problem.path}: {problem.reason}")
    if (more := len(problems) - LISTED) > 0:
        console.say(f"  and {more} more; --json lists all")


def problems_json(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """All of them."""
    return [{"file": str(problem.path), "reason": problem.reason} for problem in problems]


def left_out_json(left_out: Sequence[LeftOut]) -> list[dict[str, str]]:
    """Files and folders that are not used, as `problems_json` lists those of a corpus."""
    return [{"file": str(each.path), "reason": each.reason} for each in left_out]
