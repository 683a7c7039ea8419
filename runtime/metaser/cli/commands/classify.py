"""`metaser classify`: a label for each file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import open_engine, open_engine_for_clips
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
    profile_path,
)
from metaser.cli.streaming.input_pipe import STANDARD_INPUT, standard_input
from metaser.cli.view.console import GAP, percent, plain, print_error, print_json, print_status
from metaser.cli.view.progress import SlowProgress

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.cli.view.drawing import Palette
    from metaser.cli.view.terminal import PlainConsole
    from metaser.runtime import Decision, Engine, Profile

BAD_INPUT = 2
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


def classify(  # noqa: PLR0913 # one parameter per option
    *,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help="Clips of a few seconds, or - for standard input.", readable=False),
    ],
    unknown: UnknownOption = Unknown.calibrated,
    profile: ProfileOption = None,
    accept_precision: AcceptPrecisionOption = False,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Label each clip with one of your classes.

    Each file is one clip of a few seconds and gets one label. A file that cannot be used is reported, the others are
    still labelled, and the exit code is 2. Ctrl-C stops and prints the results so far. For a conversation or a long
    recording, use `metaser stream`. Enrol your classes first, with `metaser enroll`.
    """
    from metaser.runtime.system.workers import in_order

    engine = (open_engine_for_clips if len(files) > 1 else open_engine)(bundle, provider, threads)
    enrolled = engine.open_profile(profile_path(profile), accept_precision=accept_precision).answering(unknown.value)
    results: list[Result] = []
    try:
        with SlowProgress("Classifying", as_json=as_json) as progress:
            answers = in_order(lambda file: _classify(engine, enrolled, file), files, engine.model.workers)
            for done, answer in enumerate(answers, start=1):
                if isinstance(answer, Result):
                    results.append(answer)
                    for notice in answer.notices:
                        print_status(f"{answer.file}: {notice}")
                    if as_json:
                        _print_json(answer, engine.provider)
                else:
                    print_error(answer)
                progress(done, len(files))
    finally:  # also after Ctrl-C or a machine error
        if results and not as_json:
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
        decision = engine.classify(loaded.waveform, profile)
    except (InputError, OSError) as error:
        return _fault(file, error)
    return Result(str(file), decision, len(loaded.waveform) / SAMPLE_RATE_HZ, loaded.notices)


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
    decision = result.decision
    print_json(
        file=result.file,
        label=decision.label,
        confidence=round(decision.confidence, 6),
        scores={label: round(score, 6) for label, score in decision.scores.items()},
        duration_s=round(result.duration_s, 3),
        notices=list(result.notices),
        provider=provider,
    )


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
        table.add_row(shown, palette.name(decision.label), percent(decision.confidence), *drawn)
    return table


def _bar_width(palette: Palette, room: int) -> int:
    """The widest bar that leaves a column for each label; 0 if not even the narrowest one fits."""
    widths = range(WIDEST_BAR, NARROWEST_BAR - 1, -1)
    return next((width for width in widths if _bar_columns(palette, width) <= room), 0)


def _bar_columns(palette: Palette, width: int) -> int:
    return sum(max(width, palette.name(label).cell_len) + GAP for label in palette.labels)
