"""The documentation page of all commands, from the command line's help; a hook of MkDocs, see mkdocs.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from metaser.cli.main import app

PAGE = "commands.md"
HEAD = """\
# Commands
Generated from the help of the commands: `metaser COMMAND --help` prints the same. Exit codes: 0 for success; 1 if the
work failed; 2 for wrong use or input; 3 if a package, device or provider is missing; 130 after Ctrl-C, except for
`stream`, which prints its summary and ends with 0. An error is one line on standard error.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page; called by MkDocs."""
    files.append(File.generated(config, PAGE, content=command_page()))
    return files


def command_page() -> str:
    """The page in Markdown: usage, explanation, arguments and options of every command."""
    program = typer.main.get_command(app)
    assert isinstance(program, typer.core.TyperGroup)
    whole = typer.Context(program, info_name="metaser")
    return "\n".join([HEAD, *(_section(program.commands[name], whole) for name in program.list_commands(whole))])


def _section(command: Any, whole: typer.Context) -> str:
    context = typer.Context(command, info_name=command.name, parent=whole)
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    lines = [f"## {command.name}", "```text", usage, "```", command.help, ""]
    if rows := list(_rows(command, context)):
        lines += ["| | description |", "|---|---|", *rows, ""]
    return "\n".join([*lines, f"{command.epilog.replace('Example: ', 'Example: `')}`", ""])


def _rows(command: Any, context: typer.Context) -> Iterator[str]:
    for parameter in command.params:  # without --help, which every command has
        if record := parameter.get_help_record(context):  # None for a hidden one
            names, text = (re.sub(r"\s+", " ", part) for part in record)
            yield f"| `{names}` | {text.replace('<', '&lt;').replace('|', '&#124;')} |"
