"""`metaser doctor`: check this machine, and print the command that fixes each problem."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from metaser.cli.options import BundleOption, JsonOption, ProfileOption, profile_path
from metaser.cli.view.console import print_json
from metaser.cli.view.terminal import console_for, new_table
from metaser.runtime.words import plain

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.diagnostics.check import Check

STYLES = {"fine": "green", "notice": "yellow", "problem": "bold red"}


def doctor(*, bundle: BundleOption = None, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Check whether metaser can run on this machine, and print how to fix problems.

    A problem must be fixed before a file can be labelled. A notice matters only for some uses, for example a missing
    microphone. The exit code is 0 without problems and 3 if something needed is missing or broken.
    """
    from metaser.diagnostics.check import State
    from metaser.diagnostics.doctor import examine
    from metaser.runtime.errors import MissingDependencyError

    checks = []
    for check in examine(bundle, profile_path(profile) if profile else None):
        if as_json:
            print_json(**asdict(check))
        checks.append(check)
    if not as_json:
        console_for(as_json).print(_table(checks))
    if problems := [check.name for check in checks if check.state is State.problem]:
        raise MissingDependencyError(f"fix these first: {', '.join(problems)}")
    console_for(as_json).print_line("This machine has everything that metaser needs.")


def _table(checks: list[Check]) -> Table:
    from rich.text import Text

    table = new_table("check", "", "found")
    table.columns[0].no_wrap = True
    table.columns[2].overflow = "fold"
    for check in checks:
        found = Text(plain(check.found))
        if check.fix:
            found.append(f"\n{plain(check.fix)}", "bold")
        table.add_row(check.name, Text(check.state.value, STYLES[check.state.value]), found)
    return table
