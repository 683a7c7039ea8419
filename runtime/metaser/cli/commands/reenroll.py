"""`metaser reenroll`: rebuild a profile for another bundle from its original clips."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import open_engine_for_clips
from metaser.cli.open_profile import print_hint
from metaser.cli.options import (
    AnyBundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    profile_path,
)
from metaser.cli.view.console import print_json, print_status
from metaser.cli.view.next_commands import next_options, print_next
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.skipped_files import skipped_json
from metaser.cli.view.terminal import PlainConsole, console_for
from metaser.cli.view.tuning import lost_by_change
from metaser.runtime.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metaser.runtime import Profile
    from metaser.runtime.enrolment.clip import Clip
    from metaser.runtime.enrolment.find_clips import FoundClips

LISTED = 3


SupportArgument = Annotated[
    Path | None,
    typer.Argument(metavar="SUPPORT", help="A folder to search for clips that have moved.", readable=False),
]
DropMissingOption = Annotated[
    bool, typer.Option("--drop-missing", help="Continue without the clips that cannot be found.")
]


def reenroll(  # noqa: PLR0913 # one parameter per option
    *,
    support: SupportArgument = None,
    drop_missing: DropMissingOption = False,
    profile: ProfileOption = None,
    bundle: AnyBundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the profile for another bundle or precision, from its original clips.

    A profile belongs to the bundle that made it. This command reads its clips again, from their original paths or
    from anywhere in SUPPORT, provided that their content has not changed. The previous profile is kept for
    `metaser enroll --undo`.
    """
    from metaser.runtime import Profile, profile_lock
    from metaser.runtime.system.os_errors import not_found

    if support is not None and not support.is_dir():
        raise not_found(support, "folder")
    path = profile_path(profile)
    with profile_lock(path, notify=print_status):
        before = Profile.load(path)
        engine = open_engine_for_clips(bundle, provider, threads)
        manifest = engine.bundle.manifest
        console = console_for(as_json)
        if (before.model_id, before.graph_id) == (manifest.model_id, manifest.graph_id):
            _print_nothing_to_do(console, manifest.name, support)
            if as_json:
                print_json(profile=str(path), bundle=manifest.name, renewed=False)
            return
        found = _find(before, support, drop_missing=drop_missing)
        with SlowProgress("Embedding", as_json=as_json) as progress:
            renewed = engine.reenroll(before, found=found, progress=progress)
        renewed.save(path)

    what = "export of the same model" if before.model_id == manifest.model_id else "model"
    console.print_line(f"Another {what}: {before.bundle_name} before, {manifest.name} now.")
    _print_found(console, found)
    for line in lost_by_change(before, renewed):
        console.print_line(line)
    console.print_line(f"Correct when left out: {_recognised(before)} before, {_recognised(renewed)} now.")
    print_hint(engine.hint(renewed))
    console.print_line(f"Profile of {counted(len(renewed.clips), 'clip')}: {path}")
    print_next(console, next_options(profile, bundle))
    if as_json:
        print_json(
            profile=str(path),
            bundle=manifest.name,
            renewed=True,
            clips=len(renewed.clips),
            moved={clip.title: place for clip, place in found.moved},
            changed=[clip.title for clip in found.changed],
            missing=[clip.title for clip in found.missing],
            unreadable=[clip.title for clip in found.unreadable],
            left_out=skipped_json(found.left_out),
        )


def _print_nothing_to_do(console: PlainConsole, bundle: str, support: Path | None) -> None:
    from metaser.runtime.system.command_line import command_line

    console.print_line(f"Nothing to do: the profile was made with this bundle, {bundle}.")
    if support is not None:
        again = command_line(f"enroll {shlex.quote(str(support))}")
        console.print_line(f"{support} was not read; to enrol the clips in it: {again}")


def _find(before: Profile, support: Path | None, *, drop_missing: bool) -> FoundClips:
    """Find the clips; missing clips are an error unless `drop_missing` is set."""
    from metaser.runtime import InputError, find_clips
    from metaser.runtime.system.command_line import command_line

    found = find_clips(before.clips, support)
    if support is not None and (relabelled := _relabelled(found, support, before.labels)):
        clip, label = relabelled[0]
        raise InputError(
            f"{counted(len(relabelled), 'clip')} moved to the folder of another class, such as {clip.title}, now in "
            f"{label}: to enrol with the new labels: `{command_line(f'enroll {shlex.quote(str(support))}')}`"
        )
    if found.lost and not drop_missing:
        raise InputError(
            f"{len(found.lost)} of {counted(len(before.clips), 'clip')} cannot be read again ({_names(found)}): give "
            f"the folder they are in, `{command_line('reenroll SUPPORT')}`, or leave them out with --drop-missing"
        )
    return found


def _relabelled(found: FoundClips, support: Path, labels: Sequence[str]) -> list[tuple[Clip, str]]:
    """Clips that are now in the folder of another enrolled class, and that class."""
    from metaser.runtime.enrolment.labels import tidy

    root = support.resolve()
    moved = []
    for clip, place in found.moved:
        inside = Path(place)
        if inside.is_relative_to(root):  # else a link leads out of the folder
            inside = inside.relative_to(root)
        label = tidy(inside.parts[0])
        if label in labels and label != tidy(clip.label):
            moved.append((clip, label))
    return moved


def _print_found(console: PlainConsole, found: FoundClips) -> None:
    from metaser.runtime.audio.recordings import summary

    for clip, place in found.moved[:LISTED]:
        console.print_line(f"Moved: {clip.title}, now {place}")
    if len(found.moved) > LISTED:
        console.print_line(f"Moved: {len(found.moved) - LISTED} more")
    for clip in found.changed:
        console.print_line(f"Left out: {clip.title} has changed ({clip.path})")
    for clip in found.missing:
        console.print_line(
            f"Left out: {clip.title} is gone" + (f" ({clip.path})" if clip.path else ", it was given as an array")
        )
    for clip in found.unreadable:
        console.print_line(f"Left out: {clip.title} cannot be read ({clip.path})")
    for line in summary(found.left_out):
        console.print_line(line)


def _recognised(profile: Profile) -> str:
    fitted = profile.cross_fitted
    return f"{fitted.correct.sum()} of {len(fitted.rows)}"


def _names(found: FoundClips) -> str:
    why = dict.fromkeys((clip.sha256 for clip in found.changed), "has changed")
    why |= dict.fromkeys((clip.sha256 for clip in found.unreadable), "cannot be read")
    named = [f"{clip.title} {why.get(clip.sha256, 'is gone')}" for clip in found.lost[:LISTED]]
    more = len(found.lost) - len(named)
    names = ", ".join([*named, *([f"{more} more"] if more else [])])
    if not found.left_out:
        return names
    others = f" and {len(found.left_out) - 1} more" if len(found.left_out) > 1 else ""
    return f"{names}; {found.left_out[0].path} {found.left_out[0].reason}{others}"
