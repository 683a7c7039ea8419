"""`metaser calibrate`: how often a profile answers "unknown"."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import bundle_for, open_engine_for_clips
from metaser.cli.options import (
    BundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    check_share,
    profile_path,
    share,
)
from metaser.cli.view.console import percent, print_json, print_status
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.skipped_files import skipped_json
from metaser.cli.view.terminal import PlainConsole, console_for, new_table

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.runtime import Engine, Profile
    from metaser.runtime.audio.recordings import LeftOut

NEAR = 0.1
"""A rate this far below the limit that was set is explained."""


FalseAcceptsOption = Annotated[
    float | None,
    typer.Option(
        "--false-accepts",
        metavar="RATE",
        parser=share,
        help="The largest share of clips of other classes that may get a label, such as 0.05 or 5%.",
    ),
]
OthersOption = Annotated[
    Path | None,
    typer.Option(
        "--others",
        metavar="FOLDER",
        help="A folder of background speech and noise from your environment, to be answered with unknown. Files that "
        "cannot be used are listed.",
        readable=False,
    ),
]
ResetOption = Annotated[bool, typer.Option("--reset", help="Restore the calibration that enrolment computed.")]


def calibrate(  # noqa: PLR0913 # one parameter per option
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
    """Set how often the answer is unknown instead of a label.

    A false accept is a clip that belongs to none of your classes but gets a label. A false reject is a clip whose
    correct label is replaced by unknown. Lowering one raises the other. Without options, this command lists the choices
    with their expected rates and changes nothing. The previous profile is kept for `metaser enroll --undo`.
    """
    from metaser.runtime import InputError, profile_lock
    from metaser.runtime.audio.recordings import summary
    from metaser.runtime.enrolment.changes import calibrate_profile

    if reset and (false_accepts is not None or others is not None):
        raise InputError("--reset restores the calibration of enrolment: give it without --false-accepts and --others")
    if false_accepts is not None:
        check_share("--false-accepts", false_accepts)
    path = profile_path(profile)
    engine = open_engine_for_clips(bundle_for(bundle, path), provider, threads)
    lines: list[str] = []
    dropped: list[str] = []
    left_out: tuple[LeftOut, ...] = ()
    notices: tuple[str, ...] = ()
    changes = reset or false_accepts is not None or others is not None
    with profile_lock(path, notify=print_status) if changes else nullcontext():
        calibrated = engine.open_profile(path)
        wanted = calibrated.reliability.wanted_false_accepts if false_accepts is None else false_accepts
        if reset:
            calibrated = calibrate_profile(engine.model, calibrated.without_others())
        elif others is not None:
            with SlowProgress("Embedding", as_json=as_json) as progress:
                read = engine.embed_others(others, calibrated, progress=progress)
            dropped, left_out, notices = [str(error) for error in read.errors], read.left_out, read.notices
            lines = [*notices, *summary(left_out), *(f"Left out: {line}" for line in dropped)]
            calibrated = calibrate_profile(engine.model, calibrated, false_accepts=wanted, others=read)
        elif changes:
            calibrated = calibrate_profile(engine.model, calibrated, false_accepts=wanted)
        if changes:
            calibrated.save(path)

    console = console_for(as_json)
    for line in lines:
        console.print_line(line)
    console.print(_table(engine, calibrated), "")
    _print_expectations(console, calibrated)
    if as_json:
        others_read = {"dropped": dropped, "left_out": skipped_json(left_out), "notices": list(notices)}
        print_json(**_facts(path, calibrated), **others_read)


def _facts(path: Path, profile: Profile) -> dict[str, object]:
    return {
        "profile": str(path),
        "calibration": asdict(profile.calibration),
        "expected": asdict(profile.reliability),
        "others": len(profile.others),
    }


def _table(engine: Engine, profile: Profile) -> Table:
    """The expected rates of each choice; the current one is marked."""
    from metaser.runtime.enrolment.changes import calibration_choices

    now = profile.reliability.wanted_false_accepts
    background = ["background accepts"] if profile.others else []
    table = new_table("", "metaser calibrate", "false accepts", "false rejects", *background)
    for column in table.columns[2:]:
        column.justify = "right"
    for expected in calibration_choices(engine.model, profile):
        assert expected.false_accepts is not None
        assert expected.false_rejects is not None
        wanted = expected.wanted_false_accepts
        words = ("--others" if profile.others else "--reset") if wanted is None else f"--false-accepts {wanted:g}"
        mark = "*" if wanted == now else ""
        accepted = [] if expected.others_accepted is None else [percent(expected.others_accepted)]
        table.add_row(mark, words, percent(expected.false_accepts), percent(expected.false_rejects), *accepted)
    return table


def _print_expectations(console: PlainConsole, profile: Profile) -> None:
    from metaser.runtime.enrolment.changes import most_rejected
    from metaser.runtime.words import counted

    expected = profile.reliability
    console.print_line("* is the current choice.")
    if expected.false_accepts is None:
        console.print_line("Too few clips to estimate these rates: enrol two or more clips per class.")
        return
    console.print_line("False accepts: speech of other classes than yours that gets a label, estimated.")
    if profile.others:
        console.print_line(
            f"Background accepts: of your {counted(len(profile.others), 'background clip')}, those that get a label."
        )
    wanted = expected.wanted_false_accepts
    if wanted is not None and expected.false_accepts < wanted - NEAR:
        console.print_line(
            f"You allow {percent(wanted)} false accepts, but only {percent(expected.false_accepts)} are expected: "
            "doubtful answers become unknown anyway."
        )
    if warning := most_rejected(profile):
        console.print_line(warning)
    if expected.confidence_error is not None:
        console.print_line(
            f"Mean calibration error of the confidence on held-out clips: {percent(expected.confidence_error)}."
        )
    console.print_line("These rates are for the enrolled speakers. Expect more unknown answers for other people.")
