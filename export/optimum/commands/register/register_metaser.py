"""`optimum-cli export metaser`: `metaser export` as a command of Optimum, which finds it through this folder."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo
from optimum.commands.export.base import ExportCommand

from metaser.cli.command_table import Commands
from metaser.cli.main import main


class MetaserExportCommand(BaseOptimumCLICommand):
    """Optimum command that runs `metaser export`, with the same options."""

    COMMAND = CommandInfo(name="metaser", help="Export a speech encoder as a metaser bundle for small devices.")

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """Declare the arguments and options of `metaser export`."""
        for parameter in _parameters():
            if parameter.param_type_name == "argument":
                parser.add_argument(parameter.name, nargs="?", help=parameter.help)
            elif parameter.is_flag:
                parser.add_argument(*parameter.opts, dest=parameter.name, action="store_true", help=parameter.help)
            else:
                action = "append" if parameter.multiple else "store"
                metavar = parameter.metavar or parameter.name.upper()
                parser.add_argument(
                    *parameter.opts, dest=parameter.name, action=action, metavar=metavar, help=parameter.help
                )

    def run(self) -> None:
        """Export a bundle; an error prints one line on standard error and gives the exit code of `metaser export`."""
        main(["export", *_words(self.args)])
        sys.exit(0)


def _parameters() -> list[Any]:
    """The parameters of `metaser export`, as click describes them."""
    parameters: list[Any] = Commands()["export"].params
    return [parameter for parameter in parameters if parameter.name != "help"]


def _words(given: Namespace) -> list[str]:
    """The command-line words of `metaser export` for the options that Optimum parsed."""
    options: list[str] = []
    arguments: list[str] = []
    for parameter in _parameters():
        value = getattr(given, parameter.name)
        if value is None or value is False:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(value)
        elif parameter.is_flag:
            options.append(parameter.opts[0])
        else:
            options += [f"{parameter.opts[0]}={one}" for one in (value if parameter.multiple else [value])]
    return [*options, "--", *arguments]


REGISTER_COMMANDS = [(MetaserExportCommand, ExportCommand)]
