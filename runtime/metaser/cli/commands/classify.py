"""`metaser classify`: a label for each file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import bundle_for, open_engine, open_engine_for_clips
from metaser.cli.open_profile import open_profile
from metaser.cli.options import (
    AcceptPrecisionOption,
    BundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    Unknown,
    UnknownOption,
    chosen_format,
    profile_path,
)
from metaser.cli.streaming.input_pipe import STANDARD_INPUT, standard_input
from metaser.cli.view.console import GAP, percent, print_error, print_json, print_status
from metaser.cli.view.progress import SlowProgress
from metaser.runtime.csv_cells import csv_cell, score_columns
from metaser.runtime.words import plain

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.cli.view.drawing import Palette
    from metaser.cli.view.terminal import PlainConsole
    from metaser.runtime import Decision, Engine, Profile
    from metaser.runtime.audio.recordings import LeftOut

BAD_INPUT = 2
FIXED_COLUMNS = ("file", "label", "confidence")
"""Of CSV; the others are the labels."""

STANDARD_INPUT_FILE = Path("/dev/stdin")
FILE_COLUMNS = 20  # a longer path is cut to make room for the bars
WIDEST_BAR, NARROWEST_BAR = 12, 5


@dataclass(frozen=True)
class Result:
    """The answer for one file."""

    file: str
    decision: Decision
    duration_s: float
    notices: tuple[str, ...]


class ClipFormat(str, Enum):
    """Output formats for programs."""

    json = "json"
    csv = "csv"


FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES...", help="Clips of a few seconds, folders of them, or - for standard input.", readable=False
    ),
]
FormOption = Annotated[
    ClipFormat | None, typer.Option("--format", metavar="json|csv", help="Print JSON or CSV, one line per file.")
]


def classify(  # noqa: PLR0913 # one parameter per option
    *,
    files: FilesArgument,
    unknown: UnknownOption = Unknown.calibrated,
    profile: ProfileOption = None,
    accept_precision: AcceptPrecisionOption = False,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    form: FormOption = None,
    as_json: JsonOption = False,
) -> None:
    """Label each clip with one of your classes.

    Each file is one clip of a few seconds and gets one label; a folder stands for all recordings below it. A file that
    cannot be used is reported, the others are still labelled, and the exit code is 2. Ctrl-C stops and prints the
    results so far. For a conversation or a long recording, use `metaser stream`. Enrol your classes first, with
    `metaser enroll`.
    """
    from metaser.runtime import InputError
    from metaser.runtime.audio.recordings import summary
    from metaser.runtime.system.workers import in_order
    from metaser.runtime.words import counted

    form = chosen_format(form, ClipFormat.json, as_json=as_json)
    files, left_out = _expand(files)
    for line in summary(left_out):
        print_status(line)
    if not files:
        raise InputError("no recordings in these folders: give files, or folders that hold recordings")
    path = profile_path(profile)
    open_chosen = open_engine_for_clips if len(files) > 1 else open_engine
    engine = open_chosen(bundle_for(bundle, path), provider, threads)
    enrolled = open_profile(engine, path, unknown, accept_precision=accept_precision)
    results: list[Result] = []
    done = 0
    rows = _CsvRows(enrolled.labels) if form is ClipFormat.csv else None
    try:
        with SlowProgress("Classifying", as_json=form is not None) as progress:
            answers = in_order(lambda file: _classify(engine, enrolled, file), files, engine.model.workers)
            for done, answer in enumerate(answers, start=1):
                if isinstance(answer, Result):
                    results.append(answer)
                    for notice in answer.notices:
                        print_status(f"{answer.file}: {notice}")
                    if rows:
                        rows.write(answer)
                    elif form:
                        _print_json(answer, engine.provider)
                else:
                    print_error(answer)
                progress(done, len(files))
    except KeyboardInterrupt:
        print_status(f"Stopped after {done} of {counted(len(files), 'file')}.")
        raise
    finally:  # also after Ctrl-C or a machine error
        if results and not form:
            _print_table(results)
    if len(results) < len(files):
        raise typer.Exit(BAD_INPUT)


def _classify(engine: Engine, profile: Profile, file: Path) -> Result | str:
    """The answer for one file, or a line that explains why it cannot be used."""
    from metaser.runtime import InputError
    from metaser.runtime.arrays import SAMPLE_RATE_HZ
    from metaser.runtime.audio.load import read_audio

    try:
        if str(file) == STANDARD_INPUT:
            standard_input("give a FILE")
            loaded = read_audio(STANDARD_INPUT_FILE)
        else:
            loaded = read_audio(file)
        decision, doubts = engine.classify_with_doubts(loaded.waveform, profile)
    except (InputError, OSError) as error:
        return _fault(file, error)
    return Result(str(file), decision, len(loaded.waveform) / SAMPLE_RATE_HZ, (*loaded.notices, *doubts))


def _fault(file: Path, error: Exception) -> str:
    """Describe what is wrong with a file, in one line that begins with its path or reports it as missing."""
    from metaser.runtime import MetaserError
    from metaser.runtime.audio.recordings import cannot_be_read

    message = str(error)
    if isinstance(error, OSError) and not isinstance(error, MetaserError):
        return f"{file} {cannot_be_read(error)}"
    if message.startswith(("no such file", str(file))):
        return message
    if message.startswith(f"{file.name} "):
        return f"{file} {message.removeprefix(file.name).lstrip()}"
    return f"{file}: {message}"


def _print_json(result: Result, provider: str) -> None:
    print_json(
        file=result.file,
        **result.decision.as_dict(),
        duration_s=round(result.duration_s, 3),
        notices=list(result.notices),
        provider=provider,
    )


class _CsvRows:
    """One row per file on standard output, under a header."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._rows = csv.writer(sys.stdout, lineterminator="\n")
        self._rows.writerow([*FIXED_COLUMNS, *map(csv_cell, score_columns(labels, FIXED_COLUMNS))])

    def write(self, result: Result) -> None:
        decision = result.decision
        scores = (f"{decision.scores[label]:.4f}" for label in self._labels)
        self._rows.writerow(
            [csv_cell(result.file), csv_cell(decision.label or ""), f"{decision.confidence:.4f}", *scores]
        )
        sys.stdout.flush()


def _expand(files: list[Path]) -> tuple[list[Path], list[LeftOut]]:
    """The recordings that are meant: those of a folder are all below it; the rest of a folder is reported."""
    from metaser.runtime.audio.recordings import find_recordings

    found: list[Path] = []
    left_out: list[LeftOut] = []
    for file in files:
        if file.is_dir():
            inside = find_recordings(file)
            found += inside.recordings
            left_out += inside.left_out
        else:
            found.append(file)
    return found, left_out


def _print_table(results: list[Result]) -> None:
    from metaser.cli.view.terminal import PlainConsole

    console = PlainConsole()
    console.print(_table(results, console))


def _table(results: list[Result], console: PlainConsole) -> Table:
    from metaser.cli.view.drawing import Palette
    from metaser.cli.view.terminal import new_table

    palette = Palette(list(results[0].decision.scores))
    files = [plain(result.file) for result in results]
    longest = max(len(file) for file in files)
    if not console.is_terminal:
        console.width += longest  # so that no path is wrapped or cut
    text_columns = max(palette.name(label).cell_len for label in (*palette.labels, None)) + len("confidence") + 2 * GAP
    bar_width = _bar_width(palette, console.width - text_columns - min(longest, FILE_COLUMNS))
    bars = palette.labels if bar_width else ()
    room = console.width - text_columns - (_bar_columns(palette, bar_width) if bars else 0)
    table = new_table("file", "label", "confidence", *(plain(label) for label in bars))
    table.columns[2].justify = "right"
    for file, decision in zip(files, (result.decision for result in results), strict=True):
        drawn = [palette.bar(label, decision.scores[label], bar_width) for label in bars]
        shown = file if len(file) <= room else "…" + file[-(room - 1) :]
        certain = "" if decision.label is None else percent(decision.confidence)
        table.add_row(shown, palette.name(decision.label), certain, *drawn)
    return table


def _bar_width(palette: Palette, room: int) -> int:
    """The widest bar that leaves a column for each label; 0 if not even the narrowest one fits."""
    widths = range(WIDEST_BAR, NARROWEST_BAR - 1, -1)
    return next((width for width in widths if _bar_columns(palette, width) <= room), 0)


def _bar_columns(palette: Palette, width: int) -> int:
    return sum(max(width, palette.name(label).cell_len) + GAP for label in palette.labels)
