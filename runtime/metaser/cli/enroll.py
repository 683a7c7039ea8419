"""`metaser enroll`: a folder of labelled clips becomes a profile, or changes one."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.adapting import AdaptCommand, AdaptOption, ForceAdaptOption, adaptation_json, lost_by_change, told
from metaser.cli.console import SlowProgress, print_json, tell
from metaser.cli.enrolment_report import as_json as report_as_json
from metaser.cli.enrolment_report import class_table, clip_table, pair_table, say_expectations, say_verdicts
from metaser.cli.opening import open_engine_for_clips
from metaser.cli.options import (
    BundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    profile_path,
)
from metaser.cli.paths import given_by_environment
from metaser.cli.problems import left_out_json
from metaser.cli.terminal import PlainConsole, people

if TYPE_CHECKING:
    from metaser.runtime import Engine, Profile
    from metaser.runtime.embedded import EmbeddedClips
    from metaser.runtime.report import Report

COMMAND_CLASS = AdaptCommand


def enroll(  # noqa: PLR0912, PLR0913, PLR0915 # one parameter an option
    *,
    support: Annotated[
        Path | None,
        typer.Argument(metavar="SUPPORT", help="A folder that holds a folder of clips for each label.", readable=False),
    ] = None,
    add: Annotated[
        Path | None,
        typer.Option(
            "--add", metavar="SUPPORT", help="Add the clips of such a folder to the profile there is.", readable=False
        ),
    ] = None,
    remove: Annotated[
        str | None,
        typer.Option("--remove", metavar="LABEL[/CLIP]", help="Take a class, or one clip of it, out of the profile."),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put back the profile that the last enrolment or change replaced.")
    ] = False,
    drop_bad: Annotated[
        bool, typer.Option("--drop-bad", help="Leave out clips that do harm, and name them, instead of stopping.")
    ] = False,
    report: Annotated[bool, typer.Option("--report", help="Report on every clip and every two classes.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.png", help="Draw a map of the clips. Needs the extra `plots`."),
    ] = None,
    adapt: AdaptOption = False,
    force_adapt: ForceAdaptOption = False,
    profile: ProfileOption = None,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn your classes from a few clips of each.

    SUPPORT holds one folder per class: support/anger/1.wav, support/joy/1.wav and so on. The names of the folders are
    the labels; no class can be called unknown. Five clips of a few seconds in each are a good start. WAV, FLAC, Ogg and
    MP3 are read at any rate and under any name, and with the extra `media` what phones and videos hold. The result is a
    profile, a small file that the other commands use. The profile it replaces is kept for --undo.

    The report names files that are not enrolled, clips that are bad and classes that will be confused, and what to
    record.
    """
    from metaser.runtime import InputError, Profile, profile_lock
    from metaser.runtime import undo as put_back
    from metaser.runtime.labels import look_alikes
    from metaser.runtime.profile import check_is_profile
    from metaser.runtime.profile_changes import new_profile
    from metaser.runtime.recordings import summary

    tune = adapt or force_adapt
    changes = sum((support is not None, add is not None, remove is not None, undo))
    if changes > 1 or not (changes or tune or report or plot):
        raise InputError(
            "give either SUPPORT, a folder with a folder of clips for each label, or one of --add, --remove and --undo"
        )
    if undo and tune:
        raise InputError("--undo puts back a profile as it was: tune it after, with `metaser enroll --adapt`")
    if drop_bad and support is None and add is None:
        raise InputError("--drop-bad goes with SUPPORT or --add, where clips are read")
    began = time.perf_counter()
    path = profile_path(profile)
    check_is_profile(path)
    before = adapted = found = clips = None
    dropped: list[str] = []
    if not undo:
        engine = open_engine_for_clips(bundle, provider, threads)
        if add:
            engine.open_profile(path)  # a profile that is missing is reported before the slow part
        if folder := support or add:
            clips, dropped = _read(engine, folder, drop_bad=drop_bad, adding=support is None, as_json=as_json)
    with profile_lock(path, say=tell) if changes or tune else nullcontext():
        if undo:
            put_back(path)
            enrolled = Profile.load(path)
        else:
            if support is None:
                before = engine.open_profile(path)
            if clips is not None:
                enrolled = engine.add(before, clips) if before else new_profile(engine.model, clips)
            else:
                assert before is not None
                enrolled = engine.remove(before, remove) if remove is not None else before
            if tune:
                with SlowProgress("Tuning", as_json=as_json) as progress:
                    adapted = engine.adapt(enrolled, force=force_adapt, progress=progress)
                enrolled = adapted.profile
            found = _look(enrolled, engine, plot)
            if changes or tune:
                enrolled.save(path)
    elapsed_s = time.perf_counter() - began
    notices = [*(clips.notices if clips else ()), *look_alikes(enrolled.labels)]
    left_out = clips.left_out if clips else ()

    console = people(as_json)
    for line in (*notices, *summary(left_out), *dropped, *lost_by_change(before, enrolled, adapted)):
        console.say(line)
    if adapted:
        console.say(told(adapted))
    _tell(console, enrolled, found, in_full=report)
    if changes or tune:
        _tell_next(console, enrolled, path, _options(profile, None), _options(profile, bundle))
    if as_json:
        print_json(
            profile=str(path),
            bundle=enrolled.bundle_name,
            classes=dict(Counter(clip.label for clip in enrolled.clips)),
            clips=len(enrolled.clips),
            dropped=dropped,
            left_out=left_out_json(left_out),
            notices=notices,
            adapt=adaptation_json(adapted),
            calibration=asdict(enrolled.calibration),
            expected=asdict(enrolled.reliability),
            report=report_as_json(found) if found else None,
            elapsed_s=round(elapsed_s, 3),
        )


def _read(
    engine: Engine, folder: Path, *, drop_bad: bool, adding: bool, as_json: bool
) -> tuple[EmbeddedClips, list[str]]:
    """The clips of a folder, and a line for each that was left out."""
    with SlowProgress("Enrolling", as_json=as_json) as progress:
        read = engine.embed_support(folder, min_classes=1 if adding else 2, progress=progress)
    if not drop_bad:
        return read.checked(), []
    good, faults = read.good()
    return good, [f"Left out: {fault}" for fault in faults]


def _look(profile: Profile, engine: Engine, plot: Path | None) -> Report:
    if plot is not None:
        from metaser.runtime.embedding_map import draw_map

        draw_map(profile, plot)
    return engine.report(profile)


def _tell(console: PlainConsole, profile: Profile, report: Report | None, *, in_full: bool) -> None:
    console.print(class_table(profile, report), "")
    if report is None:
        return
    if in_full:
        console.print(clip_table(report), "")
        if any(pair.confused for pair in report.pairs):
            console.print(pair_table(report), "")
    say_verdicts(console, report, in_full=in_full)
    say_expectations(console, profile)
    console.say()


def _tell_next(console: PlainConsole, profile: Profile, path: Path, undo_options: str, next_options: str) -> None:
    from metaser.runtime.profile import undo_path

    console.say(f"Profile of {len(profile.clips)} clips: {path}")
    if undo_path(path).is_file():
        console.say(f"The profile before it is kept: metaser enroll --undo{undo_options}")
    console.say(f"Next:  metaser classify clip.wav{next_options}", style="bold")
    console.say(f"       metaser stream recording.wav{next_options}", style="bold")


def _options(profile: str | None, bundle: str | None) -> str:
    """What to add to the next command so that it finds the same profile and bundle."""
    given = {"profile": profile, "bundle": bundle}
    return "".join(
        f" --{name} {shlex.quote(str(value))}"
        for name, value in given.items()
        if value is not None and given_by_environment(f"METASER_{name.upper()}") != str(value)
    )
