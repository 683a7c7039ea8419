"""`metaser corpora`: summary of a corpus of labelled clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.options import JsonOption
from metaser.cli.view.console import print_error, print_json
from metaser.cli.view.skipped_files import StrictOption, print_skipped, skipped_json
from metaser.cli.view.terminal import PlainConsole, console_for, new_table
from metaser.runtime.words import plain

if TYPE_CHECKING:
    from metaser.toolkit.data.corpora import Report

BAD_INPUT = 2
LISTED_SPEAKERS = 12


def corpora(
    *,
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="A folder of labelled clips, or a CSV manifest of them.", readable=False),
    ],
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Summarise a corpus of labelled clips, and list its unusable files.

    DIR is a known corpus with its original file names, a folder sorted as LABEL/SPEAKER/clips or LABEL/clips, or a CSV
    table with the columns path, label, speaker, language and corpus. The summary counts clips, classes, speakers and
    minutes. Only audio headers are read. A DIR that cannot be used is reported, the others are still summarised, and
    the exit code is 2. With --strict, an unusable file is an error after the summary, unless it is a known defect of
    the corpus.
    """
    from metaser.toolkit.data.utterances import refuse_problems

    reports = []
    for folder in folders:
        if found := _read(folder):
            reports.append(found)
            if as_json:
                _print_json(folder, found)
            else:
                _print(console_for(as_json), found)
    if strict:
        problems = [problem for found in reports for problem in found.problems]
        refuse_problems(problems, sum(found.clips for found in reports) + len(problems), "--strict")
    if len(reports) < len(folders):
        raise typer.Exit(BAD_INPUT)


def _read(folder: Path) -> Report | None:
    """The report on a corpus; if it cannot be used, print why and return None."""
    from metaser.runtime import InputError, NotFoundError
    from metaser.runtime.audio.recordings import cannot_be_read
    from metaser.toolkit.data.corpora import read_any, report

    try:
        return report(read_any(folder))
    except (InputError, NotFoundError) as error:
        print_error(error)
    except OSError as error:
        print_error(f"{folder} {cannot_be_read(error)}")
    return None


def _print_json(folder: Path, found: Report) -> None:
    print_json(
        folder=str(folder),
        corpus=found.name,
        clips=found.clips,
        minutes=round(found.minutes, 3),
        classes=dict(found.classes),
        speakers=dict(found.speakers),
        languages=list(found.languages),
        sample_rates_hz=list(found.sample_rates_hz),
        problems=skipped_json(found.problems),
    )


def _print(console: PlainConsole, found: Report) -> None:
    speakers = [f"{name.partition('/')[2]} {clips}" for name, clips in found.speakers.items()]
    if len(speakers) > LISTED_SPEAKERS:
        speakers[LISTED_SPEAKERS:] = [f"{len(speakers) - LISTED_SPEAKERS} more"]
    table = new_table("", "", title=plain(found.name))
    table.show_header = False
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    rows = {
        "clips": f"{found.clips} in {found.minutes:.1f} minutes",
        "classes": f"{len(found.classes)}: {', '.join(f'{name} {clips}' for name, clips in found.classes.items())}",
        "speakers": f"{len(found.speakers)}: {', '.join(speakers)}" if speakers else "unknown",
        "languages": ", ".join(found.languages) or "unknown",
        "rates": ", ".join(f"{rate} Hz" for rate in found.sample_rates_hz),
        "problems": str(len(found.problems)),
    }
    for name, text in rows.items():
        table.add_row(name, plain(text))
    console.print(table)
    print_skipped(console, found.problems)
    console.print_line()
