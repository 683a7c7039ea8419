"""Label an archive: recordings and manifests in, tables and transcripts with labels out.

OUT/labels.csv, .jsonl, .xlsx   a row per unit: a clip, an utterance, a cue of a transcript, a part in a manifest
OUT/speakers.json               shares of each speaker, and timelines
OUT/transcripts/                the transcripts with labels
OUT/timelines/                  a picture per recording, if wanted
OUT/shards/                     what has been labelled so far; a job continues from there
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from metaser.archive.source.source import Source
from metaser.archive.tables.marked_transcripts import write_transcripts
from metaser.archive.tables.rows import ResultRow, Results
from metaser.archive.tables.speakers import Speakers, file_names
from metaser.archive.tables.spreadsheet import write_spreadsheet, xlsxwriter
from metaser.archive.tables.summary import Summary
from metaser.archive.tables.tables import write_tables
from metaser.archive.tables.text_grids import write_text_grid
from metaser.archive.tables.timeline_plot import draw_timeline
from metaser.archive.transcripts.textgrid import praatio
from metaser.archive.work.job import Fingerprint, Job
from metaser.archive.work.labeller import Group
from metaser.archive.work.plan import Plan
from metaser.archive.work.shards import FOLDER, Shards
from metaser.runtime.arguments import check
from metaser.runtime.errors import InputError, WorkError
from metaser.runtime.system.cores import best_threads
from metaser.runtime.system.files import sweep_below, what_is_no_file
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.locks import take
from metaser.runtime.system.os_errors import cannot_write
from metaser.runtime.system.plot_file import new_figure
from metaser.runtime.words import counted

LOCK = ".lock"
WAIT_S = 2.0
"""A killed job may need this long until all its processes have ended."""

Where: TypeAlias = Literal["local", "ray"]


@dataclass(frozen=True)
class Options:
    """How a job is carried out; none of it changes the labels."""

    workers: int | None = None
    """Processes that label; None: one per core, or with Ray one per CPU of the cluster."""

    engine: Where = "local"
    """`ray`: on a Ray cluster, of which every machine sees the recordings and the results under the same paths."""

    retry_failed: bool = False
    """Label again what got no label before."""

    timelines: bool = False
    """Draw the timeline of each recording with parts or utterances."""

    text_grids: bool = False
    """Write such recordings as TextGrids, too."""

    spreadsheet: bool = False
    """Write the rows as `labels.xlsx`, too."""


@dataclass
class Progress:
    """How far a job is."""

    units: int
    """Units of the source: recordings, or parts of them."""

    done: int
    """Of these, the units in earlier shards and those labelled so far."""

    new: int = 0
    """Labelled so far by this run."""

    failed: int = 0
    audio_s: float = 0.0
    """Seconds of audio labelled by this run."""


class Workers(Protocol):
    """Label groups in several processes."""

    def label(
        self, groups: Iterator[Group], labelled: Callable[[int, int, float], object], is_stopped: Callable[[], bool]
    ) -> None:
        """Label groups and write their shards."""


def label_archive(  # noqa: PLR0913 # a job, how it is carried out, and two functions
    source: Source,
    out: str | Path,
    job: Job,
    options: Options | None = None,
    *,
    progress: Callable[[Progress], object] = lambda _: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Label all units of a source, and write the results into a folder; a job that was stopped or killed continues.

        source = Source([Path("interviews/")], Transcripts(Path("transcripts/")))
        summary = label_archive(source, "labels/", Job("me.safetensors"))

    Parameters:
        progress: called when units are labelled.
        is_stopped: asked now and then whether to stop early; what is labelled is kept.

    Raises:
        NotFoundError, ProfileError, BundleError: as `Engine.open` and `Engine.open_profile`.
        InputError: `out` holds other files or the results of another job, or a manifest is not one.
        MissingDependencyError: a package for the source or the options is not installed.
        WorkError: `out` cannot be written, or another process is labelling into it.
    """
    check(progress=progress)
    options = options or Options()
    folder = given_path(out, "the folder of the results")
    fingerprint = Fingerprint.of(job, source.kind)
    if options.timelines:
        new_figure(1.0, 1.0)  # raises now if matplotlib is missing
    if options.text_grids:
        praatio()
    if options.spreadsheet:
        xlsxwriter()
    plan = Plan(source)
    if not plan.rows:
        raise InputError("the manifest names no recordings: add rows to it")
    with _locked(folder), closing(Shards(folder, fingerprint)) as shards:
        sweep_below(folder)
        if options.retry_failed:
            shards.forget_failed()
        finished = _label(plan, shards, _workers(job, fingerprint, folder, options), progress, is_stopped)
        summary = Summary(finished=finished, notices=source.notices())
        if finished:
            shards.read()
            if others := len(shards) - plan.units:
                summary.notices.append(
                    f"{counted(others, 'earlier result')} of recordings or parts that the source no longer names: "
                    "not in the tables"
                )
            _write(Results(source, plan, shards, fingerprint.labels), folder, summary, options)
    return summary


def _label(
    plan: Plan,
    shards: Shards,
    workers: Workers,
    progress: Callable[[Progress], object],
    is_stopped: Callable[[], bool],
) -> bool:
    """Label the units that have no record yet; return whether there are none left."""
    missing = sum(len(spans) for _, spans in plan.missing(shards))
    state = Progress(units=plan.units, done=plan.units - missing)

    def labelled(units: int, failed: int, audio_s: float) -> None:
        state.done += units
        state.new += units
        state.failed += failed
        state.audio_s += audio_s
        progress(state)

    if missing:
        progress(state)
        workers.label(plan.missing(shards), labelled, is_stopped)
    return state.done == state.units


def _write(results: Results, out: Path, summary: Summary, options: Options) -> None:
    """Write the results and count them in the summary."""
    speakers = Speakers()

    def take_row(result: ResultRow) -> None:
        summary.take(result)
        speakers.take(result)

    write_tables(results, out, take_row)
    if options.spreadsheet:
        write_spreadsheet(results, out, summary.rows)
    speakers.write(out)
    write_transcripts(results, out)
    names = file_names(speakers.timelines())
    for timeline in speakers.timelines():
        name = names[timeline.recording]
        if options.timelines:
            draw_timeline(timeline, results.labels, out / "timelines" / f"{name}.png")
        if options.text_grids:
            write_text_grid(timeline, out / "textgrids" / f"{name}.TextGrid")


def _workers(job: Job, fingerprint: Fingerprint, out: Path, options: Options) -> Workers:
    if options.engine == "ray":
        from metaser.archive.work.fleet import RayWorkers

        return RayWorkers(job, fingerprint, out, options.workers)
    from metaser.archive.work.local import LocalWorkers

    return LocalWorkers(job, fingerprint, out, options.workers or best_threads())


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Make the folder of the results, and keep other jobs out of it."""
    if (found := what_is_no_file(out)) not in (None, "a folder") or out.is_file():
        raise InputError(f"{out} is {found or 'a file'}: give a folder for the results")
    try:
        if not (out / FOLDER).is_dir():
            if out.is_dir() and any(path.name != LOCK for path in out.iterdir()):
                raise InputError(f"{out} holds other files: give a new or empty folder for the results")
            (out / FOLDER).mkdir(parents=True)
        lock = take(out / LOCK, lambda: None, quiet_s=WAIT_S, patience_s=0)
    except TimeoutError:
        raise WorkError(
            f"another metaser process is labelling into {out}: wait for it, or choose another folder"
        ) from None
    except OSError as error:
        raise cannot_write(out, error) from error
    try:
        yield
    finally:
        lock.release()
