"""The documentation's page of all commands, from the command line's own help; a hook of MkDocs, see mkdocs.yml."""

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
Made from the help of the commands themselves: `metaser COMMAND --help` prints the same. Exit codes are 0; 1 where the
work failed; 2 for wrong use or input; 3 where a package, device or provider is missing; 130 after Ctrl-C, except for
`stream`, which ends with its summary and 0. An error is one line on standard error.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page; MkDocs calls this."""
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
        lines += ["| | what it does |", "|---|---|", *rows, ""]
    return "\n".join([*lines, f"{command.epilog.replace('Example: ', 'Example: `')}`", ""])


def _rows(command: Any, context: typer.Context) -> Iterator[str]:
    for parameter in command.params:  # without --help, which all have
        if record := parameter.get_help_record(context):  # none of a hidden one
            names, told = (re.sub(r"\s+", " ", text) for text in record)
            yield f"| `{names}` | {told.replace('<', '&lt;').replace('|', '&#124;')} |"
