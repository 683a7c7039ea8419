"""The enrolment report as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaser.cli.view.console import percent
from metaser.cli.view.terminal import PlainConsole, new_table

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.runtime import Profile
    from metaser.runtime.enrolment.report import ClipReport, Report

FIRST_FINDINGS = 5
"""Number of findings that are printed without --report."""


STYLES = {"reliable": "bold green", "unreliable": "bold yellow", "guessing": "bold red", "untested": "bold yellow"}
"""Level of a verdict -> how it is printed."""


def print_verdict(console: PlainConsole, report: Report) -> None:
    """Print whether the profile can be relied on."""
    for line in report.verdict.lines:
        console.print_line(line, style=STYLES[report.verdict.level])


def print_findings(console: PlainConsole, report: Report, *, in_full: bool) -> None:
    """Print the findings of the report as sentences."""
    from metaser.runtime.system.command_line import command_line

    if not report.findings:
        console.print_line("The check found no unusual clips and no overlapping classes.")
        return
    shown = report.findings if in_full else report.findings[:FIRST_FINDINGS]
    for finding in shown:
        console.print_line(f"- {finding}")
    if more := len(report.findings) - len(shown):
        console.print_line(f"- {more} more: {command_line('enroll --report')} prints all")


def print_expectations(console: PlainConsole, profile: Profile) -> None:
    """Print the expected rates of unknown answers and wrong labels, and how to change them."""
    from metaser.runtime.system.command_line import command_line

    expected = profile.reliability
    if expected.false_rejects is None or expected.false_accepts is None:
        console.print_line("Too few clips to estimate the error rates: enrol three or more clips per class.")
        return
    console.print_line(f"Expected: {percent(expected.false_accepts)} of clips of none of your classes get a label, and")
    change = command_line("calibrate")
    console.print_line(f"{percent(expected.false_rejects)} of correct labels become unknown. To change this: {change}")


def class_table(profile: Profile, report: Report | None) -> Table:
    """One row per class."""
    from metaser.runtime.words import plain

    table = new_table("label", "clips", "speech", *(("recognised",) if report else ()))
    for column in table.columns[1:]:
        column.justify = "right"
    for label in profile.labels:
        members = [clip for clip in profile.clips if clip.label == label]
        speech_s = sum(clip.quality.speech_s for clip in members if clip.quality)
        cells = [plain(label), str(len(members)), f"{speech_s:.1f} s" if speech_s else ""]
        if report:
            found = next(each for each in report.classes if each.label == label)
            cells.append("" if found.recognised is None else f"{found.recognised} of {found.clips}")
        table.add_row(*cells)
    return table


def clip_table(report: Report) -> Table:
    """One row per clip, with a column for remarks."""
    from metaser.runtime.words import plain

    table = new_table("clip", "speech", "level", "noise", "own class", "remark")
    for column in table.columns[1:5]:
        column.justify = "right"
    for column in table.columns[:5]:
        column.no_wrap = True
    for each in sorted(report.clips, key=lambda each: each.clip.title):
        quality = each.clip.quality
        measured = (
            [f"{quality.speech_s:.1f} s", f"{quality.level_dbfs:.0f} dB", f"{-quality.snr_db:.0f} dB"]
            if quality
            else [""] * 3
        )
        own_class = "" if each.probability is None else percent(each.probability)
        table.add_row(plain(each.clip.title), *measured, own_class, plain(_remark(each)))
    return table


def pair_table(report: Report) -> Table:
    """One row per pair of classes with at least one confusion."""
    from metaser.runtime.words import plain

    table = new_table("classes", "", "confused")
    table.columns[2].justify = "right"
    for pair in report.pairs:
        if pair.confused:
            count = f"{round(pair.confused * pair.clips)} of {pair.clips}"
            table.add_row(*map(plain, pair.labels), count)
    return table


def _remark(each: ClipReport) -> str:
    remarks = [*each.faults]
    if each.is_outlier:
        remarks.append(f"more like {each.nearest}")
    if each.twin:
        remarks.append(f"repeats {each.twin}")
    if each.clip.copies:
        remarks.append("has copies")
    return ", ".join(remarks)
