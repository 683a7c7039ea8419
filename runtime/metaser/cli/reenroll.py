"""`metaser reenroll`: renew a profile for another bundle, from the clips it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.adapting import lost_by_change
from metaser.cli.console import SlowProgress, print_json, tell
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
from metaser.cli.problems import left_out_json
from metaser.cli.terminal import PlainConsole, people

if TYPE_CHECKING:
    from metaser.runtime import Profile
    from metaser.runtime.reenrolment import FoundClips

LISTED = 3


def reenroll(  # noqa: PLR0913 # one parameter an option
    *,
    support: Annotated[
        Path | None,
        typer.Argument(metavar="SUPPORT", help="Where to look for clips that have moved.", readable=False),
    ] = None,
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Go on without the clips that cannot be found.")
    ] = False,
    profile: ProfileOption = None,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Renew the profile after a new bundle or precision.

    A profile belongs to the bundle that made it. The clips it was made of are read again, if they are still where they
    were and have not changed, or wherever in SUPPORT they are now. The profile before is kept for --undo.
    """
    from metaser.runtime import InputError, Profile, profile_lock
    from metaser.runtime.os_errors import not_found
    from metaser.runtime.reenrolment import find_clips

    path = profile_path(profile)
    with profile_lock(path, say=tell):
        before = Profile.load(path)
        engine = open_engine_for_clips(bundle, provider, threads)
        manifest = engine.bundle.manifest
        console = people(as_json)
        if (before.model_id, before.graph_id) == (manifest.model_id, manifest.graph_id):
            console.say(f"Nothing to do: the profile was made with this very bundle, {manifest.name}.")
            if as_json:
                print_json(profile=str(path), bundle=manifest.name, renewed=False)
            return
        if support is not None and not support.is_dir():
            raise not_found(support, "folder")
        found = find_clips(before.clips, support)
        if found.lost and not drop_missing:
            raise InputError(
                f"{len(found.lost)} of {len(before.clips)} clips cannot be read again ({_names(found)}): give the "
                "folder they are in, `metaser reenroll SUPPORT`, or leave them out with --drop-missing"
            )
        with SlowProgress("Embedding", as_json=as_json) as progress:
            renewed = engine.reenroll(before, found=found, progress=progress)
        renewed.save(path)

    what = "export of the same model" if before.model_id == manifest.model_id else "model"
    console.say(f"Another {what}: {before.bundle_name} before, {manifest.name} now.")
    _tell(console, found)
    for line in lost_by_change(before, renewed):
        console.say(line)
    console.say(f"Recognised when left out: {_recognised(before)} before, {_recognised(renewed)} now.")
    console.say(f"Profile of {len(renewed.clips)} clips: {path}")
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
            left_out=left_out_json(found.left_out),
        )


def _tell(console: PlainConsole, found: FoundClips) -> None:
    from metaser.runtime.recordings import summary

    for clip, place in found.moved[:LISTED]:
        console.say(f"Moved: {clip.title}, now {place}")
    if len(found.moved) > LISTED:
        console.say(f"Moved: {len(found.moved) - LISTED} more")
    for clip in found.changed:
        console.say(f"Left out: {clip.title} has another content now ({clip.path})")
    for clip in found.missing:
        console.say(f"Left out: {clip.title} is gone" + (f" ({clip.path})" if clip.path else ", it was an array"))
    for clip in found.unreadable:
        console.say(f"Left out: {clip.title} cannot be read ({clip.path})")
    for line in summary(found.left_out):
        console.say(line)


def _recognised(profile: Profile) -> str:
    fitted = profile.cross_fitted
    return f"{fitted.right.sum()} of {len(fitted.rows)}"


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
