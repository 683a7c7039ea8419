"""`metaser enroll`: make a profile from a folder of labelled clips, or change one."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from enum import Enum
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
    profile_path,
)
from metaser.cli.view.console import print_error, print_json, print_status
from metaser.cli.view.enrolment_report import (
    class_table,
    clip_table,
    pair_table,
    print_expectations,
    print_findings,
    print_verdict,
)
from metaser.cli.view.next_commands import next_options, print_next
from metaser.cli.view.plot_option import check_plot
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.skipped_files import skipped_json
from metaser.cli.view.terminal import PlainConsole, console_for
from metaser.cli.view.tuning import lost_by_change, tuning_json, tuning_line

if TYPE_CHECKING:
    from metaser.runtime import Engine, Profile
    from metaser.runtime.audio.recordings import LeftOut
    from metaser.runtime.enrolment.embed import EmbeddedClips
    from metaser.runtime.enrolment.report import Report
    from metaser.runtime.enrolment.tune import TunedProfile


BAD_INPUT = 2
LISTED = 20
"""Number of clips that cannot be used to list."""


class Tune(str, Enum):
    """When a tuned head is kept."""

    auto = "auto"
    force = "force"


SupportArgument = Annotated[
    Path | None,
    typer.Argument(metavar="SUPPORT", help="A folder with one subfolder of clips per label.", readable=False),
]
AddOption = Annotated[
    Path | None,
    typer.Option(
        "--add", metavar="SUPPORT", help="Add the clips of a SUPPORT folder to the existing profile.", readable=False
    ),
]
RemoveOption = Annotated[
    str | None,
    typer.Option("--remove", metavar="LABEL[/CLIP]", help="Remove a class, or one of its clips, from the profile."),
]
UndoOption = Annotated[
    bool, typer.Option("--undo", help="Restore the profile that the last enrolment or change replaced.")
]
DropBadOption = Annotated[
    bool, typer.Option("--drop-bad", help="Leave out bad clips and list them, instead of stopping.")
]
ReportOption = Annotated[
    bool, typer.Option("--report", help="Print the full report: every clip and every pair of classes.")
]
GroupsOption = Annotated[
    bool,
    typer.Option(
        "--groups",
        help="Folders inside the class folders only group clips of one class, even if they look like classes.",
    ),
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Draw a map of the clips and classes. Needs the extra `plots`."),
]
TuneOption = Annotated[
    Tune | None,
    typer.Option(
        "--tune",
        metavar="auto|force",
        help="Also fine-tune the head on your clips. auto: keep it only if it improves on held-out clips. "
        "force: always keep it.",
    ),
]


@dataclass(frozen=True)
class Request:
    """What the user requested."""

    support: Path | None
    add: Path | None
    remove: str | None
    undo: bool
    drop_bad: bool
    groups: bool
    tune: Tune | None
    plot: Path | None

    @property
    def folder(self) -> Path | None:
        """The folder of clips to read."""
        return self.support or self.add

    @property
    def changes(self) -> bool:
        """Whether a profile is written."""
        return any((self.folder, self.remove is not None, self.undo, self.tune))

    def check(self, *, report: bool) -> None:
        """Raise InputError for options that exclude each other."""
        from metaser.runtime import InputError
        from metaser.runtime.system.command_line import command_line

        given = sum((self.support is not None, self.add is not None, self.remove is not None, self.undo))
        if given > 1 or not (given or self.tune or report or self.plot):
            raise InputError(
                "give either SUPPORT, a folder with one subfolder of clips per label, or one of --add, --remove and "
                "--undo"
            )
        others = {"--tune": self.tune, "--report": report, "--plot": self.plot}
        if self.undo and (names := [name for name, value in others.items() if value]):
            raise InputError(
                f"--undo restores a profile as it was: give {' and '.join(names)} afterwards, to "
                f"`{command_line('enroll')}`"
            )
        for name, given in (("--drop-bad", self.drop_bad), ("--groups", self.groups)):
            if given and self.folder is None:
                raise InputError(f"{name} is for SUPPORT or --add, which read clips")


@dataclass(frozen=True)
class Outcome:
    """A profile, and what to report about its enrolment."""

    profile: Profile
    lines: tuple[str, ...] = ()
    """One line per dropped clip and per thing that the change lost."""
    dropped: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    tuned: TunedProfile | None = None
    report: Report | None = None
    changed: bool = False
    """Whether the profile's file has another content now."""


def enroll(  # noqa: PLR0913 # one parameter per option
    *,
    support: SupportArgument = None,
    add: AddOption = None,
    remove: RemoveOption = None,
    undo: UndoOption = False,
    drop_bad: DropBadOption = False,
    groups: GroupsOption = False,
    report: ReportOption = False,
    plot: PlotOption = None,
    tune: TuneOption = None,
    profile: ProfileOption = None,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn your classes from a few clips of each.

    SUPPORT holds one folder per class, for example support/anger/1.wav and support/joy/1.wav. The folder names are the
    labels; "unknown" is reserved. Five clips per class, of a few seconds each, are a good start. WAV, FLAC, Ogg and MP3
    files of any sample rate are read; the extra `media` adds the formats of phones and videos. The result is a profile,
    a small file that the other commands use. The profile that it replaces is kept for --undo.

    The report lists files that were not enrolled, bad clips, classes that are easily confused, and what to record.
    """
    from metaser.runtime.enrolment.profile_file import check_is_profile

    request = Request(support, add, remove, undo, drop_bad, groups, tune, plot)
    request.check(report=report)
    check_plot(plot)
    began = time.perf_counter()
    path = profile_path(profile)
    check_is_profile(path)
    if undo:
        outcome = _undo(path)
    else:
        engine = open_engine_for_clips(bundle_for(bundle, path), provider, threads)
        outcome = _change(request, path, engine, as_json=as_json)
    elapsed_s = time.perf_counter() - began

    console = console_for(as_json)
    _print(console, outcome, in_full=report)
    if plot:
        console.print_line(f"Map of the clips: {plot}")
    if request.changes:
        _print_next(console, outcome, path, next_options(profile, bundle))
    if as_json:
        _print_json(outcome, path, elapsed_s)


def _undo(path: Path) -> Outcome:
    from metaser.runtime import Profile, profile_lock, undo
    from metaser.runtime.enrolment.labels import look_alikes

    with profile_lock(path, notify=print_status):
        undo(path)
        profile = Profile.load(path)
    return Outcome(profile, notices=tuple(look_alikes(profile.labels)))


def _change(request: Request, path: Path, engine: Engine, *, as_json: bool) -> Outcome:
    """Read clips, then read, change and write the profile under its lock."""
    from metaser.runtime import profile_lock
    from metaser.runtime.enrolment.changes import new_profile
    from metaser.runtime.enrolment.labels import look_alikes

    before = tuned = clips = None
    changed = False
    dropped: list[str] = []
    add_to = engine.open_profile(path) if request.add else None
    if request.folder:
        clips, dropped = _read(engine, request.folder, request, add_to, as_json=as_json)
    with profile_lock(path, notify=print_status) if request.changes else nullcontext():
        if request.support and clips:
            enrolled = new_profile(engine.model, clips)
            before = _replaced(path)
        else:
            before = enrolled = engine.open_profile(path)
            if clips:
                enrolled = engine.add(before, clips)
            elif request.remove is not None:
                enrolled = engine.remove(before, request.remove)
        if request.tune:
            with SlowProgress("Tuning", as_json=as_json) as progress:
                tuned = engine.tune(enrolled, force=request.tune is Tune.force, progress=progress)
            enrolled = tuned.profile
        if request.plot is not None:
            from metaser.runtime.enrolment.map import draw_map

            draw_map(enrolled, request.plot)
        report = engine.report(enrolled)
        adds_nothing = request.add is not None and before is not None and enrolled.clips_key == before.clips_key
        if request.changes and not adds_nothing:  # else the copy for --undo would be lost
            content = path.read_bytes() if path.is_file() else b""
            enrolled.save(path)
            changed = path.read_bytes() != content
    return Outcome(
        enrolled,
        lines=(*dropped, *_other_bundle(before, enrolled), *lost_by_change(before, enrolled, tuned)),
        dropped=tuple(dropped),
        notices=(*(clips.notices if clips else ()), *look_alikes(enrolled.labels)),
        left_out=clips.left_out if clips else (),
        tuned=tuned,
        report=report,
        changed=changed,
    )


def _replaced(path: Path) -> Profile | None:
    """The profile that a new enrolment replaces; None if there is none, or a damaged one."""
    from metaser.runtime import NotFoundError, Profile, ProfileError

    with suppress(NotFoundError, ProfileError):
        return Profile.load(path)
    return None


def _other_bundle(before: Profile | None, after: Profile) -> list[str]:
    """A line if the bundle is not the one that made the replaced profile."""
    if before is None or before.bundle_name == after.bundle_name:
        return []
    return [f"The replaced profile was made with the bundle {before.bundle_name}, this one with {after.bundle_name}."]


def _read(
    engine: Engine, folder: Path, request: Request, add_to: Profile | None, *, as_json: bool
) -> tuple[EmbeddedClips, list[str]]:
    """Read the clips of a folder; also return one line per clip that was left out.

    Raises:
        AudioError: a clip cannot be used.
        typer.Exit: several clips cannot be used; each is reported.
    """
    with SlowProgress("Enrolling", as_json=as_json) as progress:
        read = engine.embed_support(folder, add_to=add_to, groups=request.groups, progress=progress)
    if request.drop_bad:
        good, faults = read.good()
        return good, [f"Left out: {fault}" for fault in faults]
    if len(read.errors) > 1:
        from metaser.runtime.words import counted

        for error in read.errors[:LISTED]:
            print_error(error)
        count = counted(len(read.errors) + len(read.clips), "clip")
        listed = f", {LISTED} of which are listed" if len(read.errors) > LISTED else ""
        print_error(
            f"{len(read.errors)} of {count} cannot be used{listed}: replace them, or leave them out with --drop-bad"
        )
        raise typer.Exit(BAD_INPUT)
    return read.checked(), []


def _print(console: PlainConsole, outcome: Outcome, *, in_full: bool) -> None:
    from metaser.runtime.audio.recordings import summary

    for line in (*outcome.notices, *summary(outcome.left_out), *outcome.lines):
        console.print_line(line)
    if outcome.tuned:
        console.print_line(tuning_line(outcome.tuned))
    _print_report(console, outcome.profile, outcome.report, in_full=in_full)


def _print_json(outcome: Outcome, path: Path, elapsed_s: float) -> None:
    profile = outcome.profile
    print_json(
        profile=str(path),
        bundle=profile.bundle_name,
        classes=dict(Counter(clip.label for clip in profile.clips)),
        clips=len(profile.clips),
        dropped=list(outcome.dropped),
        left_out=skipped_json(outcome.left_out),
        notices=list(outcome.notices),
        tune=tuning_json(outcome.tuned),
        calibration=asdict(profile.calibration),
        expected=asdict(profile.reliability),
        report=outcome.report.as_dict() if outcome.report else None,
        elapsed_s=round(elapsed_s, 3),
    )


def _print_report(console: PlainConsole, profile: Profile, report: Report | None, *, in_full: bool) -> None:
    if report is not None:
        print_verdict(console, report)
        console.print_line()
    console.print(class_table(profile, report), "")
    if report is None:
        return
    if in_full:
        console.print(clip_table(report), "")
        if any(pair.confused for pair in report.pairs):
            console.print(pair_table(report), "")
    print_findings(console, report, in_full=in_full)
    print_expectations(console, profile)
    console.print_line()


def _print_next(console: PlainConsole, outcome: Outcome, path: Path, options: str) -> None:
    from metaser.runtime.enrolment.profile_file import undo_path
    from metaser.runtime.system.command_line import command_line
    from metaser.runtime.words import counted

    console.print_line(f"Profile of {counted(len(outcome.profile.clips), 'clip')}: {path}")
    if outcome.changed and undo_path(path).is_file():
        console.print_line(f"To restore the previous profile: {command_line('enroll --undo')}")
    print_next(console, options)
