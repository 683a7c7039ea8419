"""`metaser enroll`: a folder of labelled clips becomes a profile."""

from __future__ import annotations

import os
import shlex
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.adapting import AdaptOption, ForceAdaptOption, summary, told
from metaser.cli.console import PlainConsole, SlowProgress, new_table, people, plain, print_json, tell
from metaser.cli.options import (
    BundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    profile_path,
)
from metaser.cli.recording import duration_of

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.runtime import Profile


def enroll(  # noqa: PLR0913 # one parameter an option
    *,
    support: Annotated[
        Path | None, typer.Argument(metavar="SUPPORT", help="A folder that holds a folder of clips for each label.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put back the profile that the last enrolment replaced.")
    ] = False,
    adapt: AdaptOption = False,
    force_adapt: ForceAdaptOption = False,
    profile: ProfileOption = None,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn your classes from a few clips of each.

    SUPPORT holds one folder a class: support/anger/1.wav, support/joy/1.wav and so on. The names of the folders are the
    labels. Five clips of a few seconds in each are a good start. WAV, FLAC, OGG and MP3 are read at any rate. The
    result is a profile, a small file that the other commands use. The profile it replaces is kept for --undo.
    """
    from metaser.runtime import Engine, InputError, Profile
    from metaser.runtime import undo as put_back
    from metaser.runtime.profile import check_is_profile

    if undo == (support is not None):
        raise InputError("give either SUPPORT, a folder with a folder of clips for each label, or --undo")
    began = time.perf_counter()
    adapted = None
    path = profile_path(profile)
    if support is None:
        put_back(path)
        enrolled = Profile.load(path)
    else:
        check_is_profile(path)
        engine = Engine.open(bundle, provider=provider.value, threads=threads, say=tell)
        with SlowProgress("Enrolling", as_json=as_json) as progress:
            enrolled = engine.enroll(support, progress=progress)
        if adapt or force_adapt:
            with SlowProgress("Tuning", as_json=as_json) as progress:
                adapted = engine.adapt(enrolled, force=force_adapt, progress=progress)
            enrolled = adapted.profile
        enrolled.save(path)
    elapsed_s = time.perf_counter() - began

    if adapted:
        people(as_json).say(told(adapted))
    _tell(people(as_json), enrolled, path, _options(profile, None), _options(profile, bundle))
    if as_json:
        print_json(
            profile=str(path),
            bundle=enrolled.bundle_name,
            classes=_counts(enrolled),
            clips=len(enrolled.clips),
            adapt=summary(adapted),
            elapsed_s=round(elapsed_s, 3),
        )


def _tell(console: PlainConsole, profile: Profile, path: Path, undo_options: str, next_options: str) -> None:
    from metaser.runtime.profile import undo_path

    console.print(_table(profile), "")
    console.say(f"Profile of {len(profile.clips)} clips: {path}")
    if undo_path(path).is_file():
        console.say(f"The profile before it is kept: metaser enroll --undo{undo_options}")
    console.say(f"Next:  metaser classify clip.wav{next_options}", style="bold")
    console.say(f"       metaser stream recording.wav{next_options}", style="bold")


def _counts(profile: Profile) -> dict[str, int]:
    counts = Counter(clip.label for clip in profile.clips)
    return {label: counts[label] for label in profile.labels}


def _table(profile: Profile) -> Table:
    table = new_table("label", "clips", "seconds")
    seconds = dict.fromkeys(profile.labels, 0.0)
    for clip in profile.clips:
        seconds[clip.label] += duration_of(Path(clip.path))
    for label, count in _counts(profile).items():
        table.add_row(plain(label), str(count), f"{seconds[label]:.1f}" if seconds[label] else "")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _options(profile: Path | None, bundle: str | None) -> str:
    """What to add to the next command so that it finds the same profile and bundle."""
    given = {"profile": profile, "bundle": bundle}
    return "".join(
        f" --{name} {shlex.quote(str(value))}"
        for name, value in given.items()
        if value is not None and os.environ.get(f"METASER_{name.upper()}") != str(value)
    )
