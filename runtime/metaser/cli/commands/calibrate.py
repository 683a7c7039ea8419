"""`metaser calibrate`: how readily a profile says that it does not know."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import open_engine_for_clips
from metaser.cli.options import (
    BundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    profile_path,
)
from metaser.cli.view.console import percent, print_json, print_status
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.skipped_files import skipped_json
from metaser.cli.view.terminal import PlainConsole, console_for, new_table

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.runtime import Engine, Profile
    from metaser.runtime.audio.recordings import LeftOut

CHOICES = (None, 0.5, 0.3, 0.2, 0.1, 0.05)


FalseAcceptsOption = Annotated[
    float | None,
    typer.Option(
        "--false-accepts", metavar="RATE", help="The share of clips of other classes that may get a label: 0.05 ..."
    ),
]
OthersOption = Annotated[
    Path | None,
    typer.Option(
        "--others",
        metavar="FOLDER",
        help="Other speech and noise of your place, to be told apart. Files that cannot be used are named.",
        readable=False,
    ),
]
ResetOption = Annotated[bool, typer.Option("--reset", help="Go back to what enrolment sets.")]


def calibrate(  # noqa: PLR0913 # one parameter an option
    *,
    false_accepts: FalseAcceptsOption = None,
    others: OthersOption = None,
    reset: ResetOption = False,
    profile: ProfileOption = None,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose how readily the profile says that it does not know.

    A false accept is a clip of a class that you did not enrol, or of no class, that gets a label. A false reject is a
    right answer that becomes unknown. Fewer of one are more of the other. Without an option this shows the choices and
    changes nothing. The profile before is kept for metaser enroll --undo.
    """
    from metaser.runtime import InputError, profile_lock
    from metaser.runtime.audio.recordings import summary

    if reset and (false_accepts is not None or others is not None):
        raise InputError("--reset goes back to what enrolment sets: give it alone")
    path = profile_path(profile)
    engine = open_engine_for_clips(bundle, provider, threads)
    lines: list[str] = []
    dropped: list[str] = []
    left_out: tuple[LeftOut, ...] = ()
    notices: tuple[str, ...] = ()
    changes = reset or false_accepts is not None or others is not None
    with profile_lock(path, notify=print_status) if changes else nullcontext():
        calibrated = engine.open_profile(path)
        wanted = calibrated.reliability.wanted_false_accepts if false_accepts is None else false_accepts
        if reset:
            calibrated = engine.calibrate(calibrated.without_others())
        elif others is not None:
            with SlowProgress("Embedding", as_json=as_json) as progress:
                read = engine.embed_others(others, calibrated, progress=progress)
            dropped, left_out, notices = [str(error) for error in read.errors], read.left_out, read.notices
            lines = [*notices, *summary(left_out), *(f"Left out: {line}" for line in dropped)]
            calibrated = engine.calibrate(calibrated, false_accepts=wanted, others=read)
        elif changes:
            calibrated = engine.calibrate(calibrated, false_accepts=wanted)
        if changes:
            calibrated.save(path)

    console = console_for(as_json)
    for line in lines:
        console.print_line(line)
    console.print(_table(engine, calibrated), "")
    _tell(console, calibrated)
    if as_json:
        print_json(
            profile=str(path),
            calibration=asdict(calibrated.calibration),
            expected=asdict(calibrated.reliability),
            others=len(calibrated.others),
            dropped=dropped,
            left_out=skipped_json(left_out),
            notices=list(notices),
        )


def _table(engine: Engine, profile: Profile) -> Table:
    """What each choice is expected to do; the one in force has a mark."""
    now = profile.reliability.wanted_false_accepts
    table = new_table("", "metaser calibrate", "other classes labelled", "right answers lost")
    for column in table.columns[2:]:
        column.justify = "right"
    for wanted in sorted({*CHOICES, now}, key=lambda rate: 1 if rate is None else rate, reverse=True):
        expected = engine.calibrate(profile, false_accepts=wanted).reliability
        if expected.false_accepts is None or expected.false_rejects is None:
            continue
        words = ("--others" if profile.others else "--reset") if wanted is None else f"--false-accepts {wanted:g}"
        mark = "*" if wanted == now else ""
        table.add_row(mark, words, percent(expected.false_accepts), percent(expected.false_rejects))
    return table


def _tell(console: PlainConsole, profile: Profile) -> None:
    expected = profile.reliability
    if expected.false_accepts is None:
        console.print_line("Too few clips to tell: enrol two or more of each class.")
        return
    if expected.others_accepted is not None:
        console.print_line(
            f"Of the other speech, {len(profile.others)} clips, {percent(expected.others_accepted)} get a label."
        )
    if expected.confidence_error is not None:
        console.print_line(f"Confidence is off by {percent(expected.confidence_error)} on average, on left-out clips.")
    console.print_line("Expected for the people you enrolled; of strangers more becomes unknown.")
