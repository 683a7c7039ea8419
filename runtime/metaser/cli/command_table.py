"""The subcommands by name, each loaded when needed: loading all of them takes as long as labelling a clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer

from metaser.cli.paths import expand_in

EXAMPLES = {
    "enroll": "metaser enroll support/",
    "classify": "metaser classify clip.wav",
    "stream": "metaser stream recording.wav",
    "label": "metaser label interviews/ labels/ --segments transcripts/",
    "test": "metaser test new_clips/",
    "record": "metaser record joy --count 5",
    "serve": "metaser serve",
    "calibrate": "metaser calibrate --false-accepts 0.2",
    "reenroll": "metaser reenroll --bundle bundle/",
    "info": "metaser info",
    "verify": "metaser verify --provider cpu",
    "forget": "metaser forget",
    "doctor": "metaser doctor",
    "bench": "metaser bench --window 1 --window 3",
    "export": "metaser export openai/whisper-base bundle/ --int8",
    "train": "metaser train configs/whisper-small-cpu.toml",
    "corpora": "metaser corpora ravdess/",
    "evaluate": "metaser evaluate frozen --corpus ravdess/",
    "demo": "metaser demo",
}
"""Command -> the example at the end of its help, in help order; the command is in `metaser.cli.commands.NAME`."""

NEED_ARGUMENTS = {"classify", "stream", "label", "test", "record", "train", "corpora", "evaluate"}
"""Commands that print their help when called without arguments."""


class Commands(Mapping[str, Any]):
    """Name -> command; listing the names loads no command, and each command is loaded once."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, EXAMPLES[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(EXAMPLES)

    def __len__(self) -> int:
        return len(EXAMPLES)


def _load(name: str, example: str) -> Any:
    module = import_module(f"metaser.cli.commands.{name}")
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    single.command(
        name,
        cls=getattr(module, "COMMAND_CLASS", None),
        epilog=f"Example: {example}",
        no_args_is_help=name in NEED_ARGUMENTS,
    )(getattr(module, name))
    command = typer.main.get_command(single)
    expand_in(command)
    _refuse_repeated(command)
    return command


def _refuse_repeated(command: Any) -> None:
    """Make a command refuse an option with one value that is given twice: the last one would count in silence."""
    make_parser = command.make_parser

    def with_check(context: Any) -> Any:
        parser = make_parser(context)
        parse = parser.parse_args

        def checked(args: list[str]) -> Any:
            values, rest, order = parse(args)
            for option in order:
                single = option.param_type_name == "option" and not (option.multiple or option.is_flag)
                if single and order.count(option) > 1:
                    context.fail(f"{option.opts[0]} is given {order.count(option)} times: give it once.")
            return values, rest, order

        parser.parse_args = checked
        return parser

    command.make_parser = with_check
