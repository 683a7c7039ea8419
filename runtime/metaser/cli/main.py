"""The `metaser` command: its subcommands, its version, and the one place that prints errors as lines."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import StringIO, TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from metaser.cli.command_table import Commands
from metaser.cli.view.console import flush_or_drop, flush_or_drop_stdout, print_error

show_usual_warning = warnings.showwarning

INTERRUPTED = 130
BAD_USAGE = 2
STREAMS = 3


INSTEAD = {
    "tune": "enroll --tune auto",
    "add": "enroll --add SUPPORT",
    "remove": "enroll --remove LABEL",
    "undo": "enroll --undo",
    "report": "enroll --report",
    "enrol": "enroll SUPPORT",
    "predict": "classify FILES",
    "listen": "stream --mic",
}
"""What may be typed as a command -> the command that does it."""


class Program(TyperGroup):
    """The group of all commands; it prints each error as one line on stderr and sets the exit code."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands()  # type: ignore[assignment] # typer only reads it

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the command line; this also prints help and the version."""
        with _errors_as_lines():
            return super().make_context(*args, **options)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the requested command; for what is an option of another command, that command is named."""
        if args and args[0] in INSTEAD:
            ctx.fail(f"No such command '{args[0]}'. Use: metaser {INSTEAD[args[0]]}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the requested command."""
        with _errors_as_lines():
            return super().invoke(ctx)


@contextmanager
def _errors_as_lines() -> Iterator[None]:
    """Print every expected error as one line on standard error and exit with its code."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        flush_or_drop_stdout()
        raise typer.Exit(0) from None
    except _errors_of_ours() as error:
        print_error(error)
        raise typer.Exit(error.exit_code) from None
    except OSError as error:
        flush_or_drop_stdout()
        print_error(_described(error))
        raise typer.Exit(1) from None
    except SystemExit as error:
        if _has_closed_pipe(error):
            raise typer.Exit(0) from None
        raise


def _has_closed_pipe(error: SystemExit) -> bool:
    """Whether rich, which prints help and usage errors, exited because the pipe was closed."""
    return isinstance(error.__context__, BrokenPipeError)


def _described(error: OSError) -> str:
    if not error.filename and isinstance(error, FileNotFoundError):
        return "the current folder no longer exists: change to another one"
    if not error.filename:  # of standard output
        return str(error.strerror or error)
    from metaser.runtime.system.os_errors import advice

    what_to_do = f"; {hint}" if (hint := advice(error)) else ""
    return f"{error.filename}: {error.strerror}{what_to_do}"


def _errors_of_ours() -> Any:
    """MetaserError, or nothing if its module was never imported: then none was raised, and help stays fast."""
    if "metaser.runtime.errors" not in sys.modules:
        return ()
    from metaser.runtime.errors import MetaserError

    return MetaserError


app = typer.Typer(
    name="metaser",
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: metaser demo",
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"metaser {version('metaser')}")
        raise typer.Exit


@app.callback()
def metaser(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Recognise emotions in speech from a few labelled clips of your own.

    Put a few clips of each emotion in support/LABEL/ and enrol them once. Then label clips, recordings and live speech.
    """


@cache
def command() -> Any:
    """The click command of `app`; cached, because building it takes a tenth of a second."""
    return typer.main.get_command(app)


def main(words: list[str] | None = None) -> None:
    """Run the command line with the given arguments, by default those of the process."""
    _claim_descriptors()
    warnings.showwarning = _show_warning
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, TextIOWrapper):
            output.reconfigure(errors="backslashreplace")  # a label that the terminal cannot show is no error
    try:
        command()(words, prog_name="metaser")
    except SystemExit as error:
        if _has_closed_pipe(error):
            sys.exit(0)
        raise
    except OSError:  # a usage error that could not be printed
        sys.exit(BAD_USAGE)
    finally:
        flush_or_drop(sys.stdout)
        flush_or_drop(sys.stderr)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
    """Print a metaser warning as one line, without its source location."""
    if category.__module__.startswith("metaser."):
        print_error(message)
    else:
        show_usual_warning(message, category, *place, **options)


def _claim_descriptors() -> None:
    """Open /dev/null for standard streams that are closed, because the next opened file would get their number.

    A closed standard output is an error: no command has a use without it.
    """
    for number in range(STREAMS):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    if sys.stderr is None:
        sys.stderr = StringIO()
    if sys.stdout is None:
        print_error("standard output is closed: open it, or send it to a file or to /dev/null")
        sys.exit(1)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
