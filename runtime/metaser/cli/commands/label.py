"""`metaser label`: labels for whole archives of recordings, joined to their transcripts."""

from __future__ import annotations

import signal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import bundle_for, tell_licence
from metaser.cli.open_profile import print_hint
from metaser.cli.options import (
    AcceptPrecisionOption,
    BundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    Unknown,
    UnknownOption,
    profile_path,
)
from metaser.cli.view.console import percent, print_error, print_json, print_status
from metaser.cli.view.drawing import UNKNOWN
from metaser.cli.view.job_progress import JobProgress, duration
from metaser.cli.view.terminal import PlainConsole, new_table
from metaser.runtime.words import counted, plain

if TYPE_CHECKING:
    from metaser.archive import Summary

BAD_INPUT = 2
SHOWN_ERRORS = 5
KINDS = (".csv", ".json", ".jsonl", ".xlsx")
FOLDERS = ("textgrids", "timelines", "transcripts")
"""Of the results; the shards are not for people."""


class Where(str, Enum):
    """Where the workers run."""

    local = "local"
    ray = "ray"


PathsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE... OUT",
        help="SOURCE: recordings, folders of them, or manifests: tables (.csv, .tsv, .jsonl, .parquet) with a column "
        "path and, if wanted, start_s, end_s, speaker and text. OUT: the folder for the results, new or of this job.",
        readable=False,
    ),
]
SegmentsOption = Annotated[
    Path | None,
    typer.Option(
        "--segments",
        metavar="FILE|DIR",
        help="Label each line of these transcripts: .srt, .vtt, .TextGrid, .rttm, or the .json of whisper. They have "
        "the names of the recordings, and may lie in the same folder.",
    ),
]
TierOption = Annotated[
    list[str] | None,
    typer.Option("--tier", metavar="NAME", help="With TextGrids: the tier of utterances. May be repeated."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Number of processes. Without it, one per core.", min=1, max=1024),
]
EngineOption = Annotated[
    Where, typer.Option("--engine", metavar="local|ray", help="Label on this machine, or on a Ray cluster.")
]
RetryOption = Annotated[bool, typer.Option("--retry", help="Label again what got no label in an earlier run.")]
TimelinesOption = Annotated[
    bool, typer.Option("--timelines", help="Draw a timeline of each recording, as PNG. Needs the extra `plots`.")
]
XlsxOption = Annotated[bool, typer.Option("--xlsx", help="Write the rows as a spreadsheet, labels.xlsx, too.")]
TextGridsOption = Annotated[
    bool,
    typer.Option("--textgrids", help="Write the labels of each recording as a TextGrid, whatever its transcript is."),
]


def label(  # noqa: PLR0913 # one parameter per option
    *,
    paths: PathsArgument,
    segments: SegmentsOption = None,
    tier: TierOption = None,
    workers: WorkersOption = None,
    engine: EngineOption = Where.local,
    retry: RetryOption = False,
    xlsx: XlsxOption = False,
    timelines: TimelinesOption = False,
    textgrids: TextGridsOption = False,
    unknown: UnknownOption = Unknown.calibrated,
    profile: ProfileOption = None,
    accept_precision: AcceptPrecisionOption = False,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    as_json: JsonOption = False,
) -> None:
    """Label an archive: many recordings, each line of their transcripts or each utterance.

    A recording of up to 20 seconds is one clip. A longer one gets a label per utterance, or per line of its transcript.
    OUT gets the tables `labels.csv` and `labels.jsonl`, the transcripts with labels, and the shares of each speaker.
    Ctrl-C stops; the same command continues, also after a crash. A recording that cannot be read is a row with the
    reason, and the exit code is 2.
    """
    from metaser.archive import Job, Options, Source, Transcripts, label_archive
    from metaser.runtime import Profile, open_bundle
    from metaser.runtime.errors import InputError
    from metaser.runtime.system.interrupts import INTERRUPTED, interrupts_as_requests

    if len(paths) < 2:
        raise InputError(f"give what to label and a folder for the results, such as: metaser label {paths[0]} results")
    *sources, out = paths
    if tier and segments is None:
        raise InputError("--tier is for TextGrids: give them with --segments")
    path = profile_path(profile)
    chosen = bundle_for(bundle, path)
    tell_licence(open_bundle(chosen).manifest)
    print_hint(Profile.load(path).verdict.hint)
    transcripts = None if segments is None else Transcripts(segments, tier or ())
    job = Job(str(path), chosen, provider.value, unknown.value, accept_precision)
    options = Options(workers, engine.value, retry, timelines, textgrids, xlsx)
    with interrupts_as_requests(signal.SIGINT, signal.SIGTERM) as is_stopped, JobProgress(quiet=as_json) as progress:
        summary = label_archive(
            Source(sources, transcripts), out, job, options, progress=progress, is_stopped=is_stopped
        )
    for line in summary.notices:
        print_status(line)
    if not summary.finished:
        print_status(f"Stopped after {progress.text}. The same command continues.")
        raise typer.Exit(INTERRUPTED)
    _print(summary, out, as_json=as_json)
    if summary.failed:
        raise typer.Exit(BAD_INPUT)


def _print(summary: Summary, out: Path, *, as_json: bool) -> None:
    """Print the summary of a finished job."""
    if as_json:
        print_json(
            out=str(out),
            rows=summary.rows,
            labelled_s=round(summary.labelled_s, 3),
            labels=dict(summary.labels.most_common()),
            failed=summary.failed,
            with_notices=summary.with_notices,
        )
        return
    if summary.labels:
        table = new_table("label", "rows", "time", "share", "mean confidence")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, rows in summary.labels.most_common():
            seconds = summary.label_s[name]
            share = percent(seconds / summary.labelled_s) if summary.labelled_s else ""
            confidence = "" if name == UNKNOWN else percent(summary.confidence[name] / rows)
            table.add_row(plain(name), f"{rows:,}", duration(seconds), share, confidence)
        PlainConsole().print(table)
    for line in summary.errors[:SHOWN_ERRORS]:
        print_error(line)
    if summary.failed > SHOWN_ERRORS:
        print_error(f"{summary.failed - SHOWN_ERRORS:,} more have no label: see the column error of labels.csv")
    if summary.with_notices:
        print_status(f"{counted(summary.with_notices, 'label')} may mean little: the column notices says why.")
    written = sorted(path.name for path in out.iterdir() if path.suffix in KINDS or path.name in FOLDERS)
    print_status(f"{counted(summary.rows, 'row')}. In {out}: {', '.join(written)}.")
