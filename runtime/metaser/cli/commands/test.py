"""`metaser test`: new labelled clips against the profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaser.cli.commands.enroll import GroupsOption
from metaser.cli.open_engine import bundle_for, open_engine_for_clips
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
from metaser.cli.view.console import percent, print_error, print_json
from metaser.cli.view.plot_option import check_plot
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.skipped_files import skipped_json
from metaser.cli.view.terminal import PlainConsole, console_for, new_table
from metaser.runtime.words import counted, plain

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.runtime.enrolment.evaluation import ProfileEvaluation, TestedClip

BAD_INPUT = 2
LISTED = 5
UNKNOWN = "unknown"

FolderArgument = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="New clips, with one folder per class as in SUPPORT.", readable=False),
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Draw the confusion matrix. Needs the extra `plots`."),
]


def test(  # noqa: PLR0913 # one parameter per option
    *,
    folder: FolderArgument,
    plot: PlotOption = None,
    groups: GroupsOption = False,
    unknown: UnknownOption = Unknown.calibrated,
    profile: ProfileOption = None,
    accept_precision: AcceptPrecisionOption = False,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test the profile on new labelled clips.

    FOLDER holds one folder per class, as at enrolment, with clips that are not enrolled. The report shows how many get
    the correct label, which classes are confused, and which clips to listen to. Clips of other classes than the
    enrolled ones should become unknown.
    """
    from metaser.runtime.enrolment.evaluation import evaluate

    check_plot(plot)
    path = profile_path(profile)
    engine = open_engine_for_clips(bundle_for(bundle, path), provider, threads)
    enrolled = engine.open_profile(path, accept_precision=accept_precision).answering(unknown.value)
    with SlowProgress("Testing", as_json=as_json) as progress:
        tested = evaluate(engine.model, enrolled, folder, groups=groups, progress=progress)
    console = console_for(as_json)
    for line in tested.warnings():
        console.print_line(line)
    _print(console, tested)
    if plot:
        _draw(plot, tested)
        console.print_line(f"Confusion matrix: {plot}")
    if as_json:
        print_json(**_as_json(tested))
    for error in tested.skipped.errors:
        print_error(error)
    if tested.skipped.errors:
        raise typer.Exit(BAD_INPUT)


def _print(console: PlainConsole, tested: ProfileEvaluation) -> None:
    from metaser.runtime.system.command_line import command_line

    if tested.interval:
        low, high = tested.interval
        guessing = len(tested.clips) / len(tested.labels)
        console.print_line(
            f"{tested.correct} of {counted(len(tested.clips), 'clip')} correct ({100 * low:.0f} to "
            f"{100 * high:.0f} %); guessing gives {guessing:.0f}.",
            style="bold",
        )
        console.print(_table(tested), "")
    if tested.mean_confidence is not None and tested.labelled_accuracy is not None:
        console.print_line(
            f"Of the labels given, {percent(tested.labelled_accuracy)} are correct; their mean confidence is "
            f"{percent(tested.mean_confidence)}."
        )
    if tested.foreign:
        console.print_line(
            f"Clips of classes that are not enrolled: {len(tested.foreign)}, of which {tested.foreign_labelled} get a "
            f"label. To change this: {command_line('calibrate')}"
        )
    if tested.to_hear:
        console.print_line("Listen to these clips; the label is wrong and the confidence is high:")
        for each in tested.to_hear[:LISTED]:
            console.print_line(f"- {_described(each)}")


def _described(each: TestedClip) -> str:
    decision = each.decision
    return f"{each.file}: {decision.label or UNKNOWN}, {percent(decision.confidence)}"


def _table(tested: ProfileEvaluation) -> Table:
    table = new_table("class", "correct", *(plain(label) for label in tested.labels), UNKNOWN)
    for column in table.columns[1:]:
        column.justify = "right"
    for row, (label, counts) in enumerate(zip(tested.labels, tested.confusion.tolist(), strict=True)):
        cells = [str(count) if count else "" for count in counts]
        table.add_row(plain(label), f"{counts[row]} of {sum(counts)}", *cells)
    return table


def _draw(path: Path, tested: ProfileEvaluation) -> None:
    from metaser.toolkit.evaluation.charts import draw_confusion

    draw_confusion(path, tested.confusion, tested.labels, "new clips", (*tested.labels, UNKNOWN))


def _as_json(tested: ProfileEvaluation) -> dict[str, Any]:
    low, high = (round(end, 4) for end in tested.interval) if tested.interval else (None, None)
    return {
        "clips": len(tested.clips),
        "correct": tested.correct,
        "low": low,
        "high": high,
        "unknown": tested.unknown,
        "labels": list(tested.labels),
        "confusion": tested.confusion.tolist(),
        "mean_confidence": tested.mean_confidence,
        "labelled_accuracy": tested.labelled_accuracy,
        "confidence_error": tested.confidence_error,
        "enrolled": len(tested.enrolled),
        "foreign": len(tested.foreign),
        "foreign_labelled": tested.foreign_labelled,
        "files": [
            {
                "file": each.file,
                "class": each.clip.label,
                "label": each.decision.label,
                "confidence": round(each.decision.confidence, 6),
                "correct": each.is_correct,
            }
            for each in (*tested.clips, *tested.foreign)
        ],
        "dropped": [str(error) for error in tested.skipped.errors],
        "left_out": skipped_json(tested.skipped.left_out),
        "notices": list(tested.skipped.notices),
    }
