"""`metaser info`: describe a bundle or a profile."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaser.cli.open_engine import bundle_for
from metaser.cli.options import AnyBundleOption, JsonOption, ProfileOption, profile_path
from metaser.cli.paths import name_or_folder, option_of
from metaser.cli.view.console import percent, print_json
from metaser.cli.view.terminal import PlainConsole, console_for, new_table
from metaser.runtime.words import counted, plain

if TYPE_CHECKING:
    from metaser.runtime.bundles.bundle import Bundle


def info(
    *,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="BUNDLE_OR_PROFILE",
            callback=name_or_folder,
            help="The folder or name of a bundle, or the file of a profile.",
        ),
    ] = None,
    bundle: AnyBundleOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a bundle or a profile.

    Without BUNDLE_OR_PROFILE, this describes the bundle and the profile that the other commands use, and prints where
    they are stored.
    """
    from metaser.runtime import InputError, NotFoundError, open_bundle, shipped_bundles
    from metaser.runtime.system.command_line import command_line

    if what is not None and (others := option_of("profile", profile) + option_of("bundle", bundle)):
        raise InputError(f"{what} and{others}: give BUNDLE_OR_PROFILE, or these options")
    try:
        path: Path | None = profile_path(profile)
        absent = f"No profile at {path} yet: make one with {command_line('enroll support/')}"
    except InputError as error:
        path, absent = None, f"No profile: {error}"
    found: dict[str, dict[str, Any]] = {}
    if what is None:
        found["bundle"] = _bundle(open_bundle(bundle if path is None else bundle_for(bundle, path)))
        if path and os.path.lexists(path):
            found["profile"] = _profile(path)
    elif os.path.lexists(what) and not Path(what).is_dir():
        found["profile"] = _profile(Path(what))
    elif os.path.lexists(what) or what in shipped_bundles():
        found["bundle"] = _bundle(open_bundle(what))
    else:
        raise NotFoundError(f"no such bundle or profile: {what} (shipped bundles: {', '.join(shipped_bundles())})")
    if as_json:
        print_json(**found)
        return
    console = console_for(as_json)
    if "bundle" in found:
        _print(console, "bundle", _bundle_rows(found["bundle"]))
    if "profile" in found:
        _print(console, "profile", _profile_rows(found["profile"]))
    console.print_line("--json prints all that is known, such as calibration, parity and ids.")
    if what is None and "profile" not in found:
        console.print_line(absent)


def _bundle(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    sizes = {name: entry.size_bytes for name, entry in manifest.files.items()}
    return {
        "name": manifest.name,
        "folder": str(bundle.folder),
        "backbone": asdict(manifest.backbone),
        "head": {**asdict(manifest.head), "scale": round(bundle.scale, 4)},
        "precision": manifest.precision,
        "providers": manifest.providers,
        "audio": asdict(manifest.audio),
        "calibration": asdict(manifest.calibration),
        "size_bytes": sum(sizes.values()),
        "files": sizes,
        "licence": manifest.licence,
        "training_corpora": manifest.training_corpora,
        "training_languages": manifest.training_languages,
        "parity": manifest.parity,
        "accuracy": manifest.accuracy,
        "opset": manifest.opset,
        "model_id": manifest.model_id,
        "graph_id": manifest.graph_id,
    }


def _profile(path: Path) -> dict[str, Any]:
    from metaser.runtime import Profile
    from metaser.runtime.enrolment.profile_file import undo_path

    profile = Profile.load(path)
    counts = Counter(clip.label for clip in profile.clips)
    return {
        "file": str(path),
        "bundle": profile.bundle_name,
        "classes": {label: counts[label] for label in profile.labels},
        "clips": len(profile.clips),
        "tuned": profile.tuned is not None,
        "others": len(profile.others),
        "undo": undo_path(path).is_file(),
        "verdict": profile.verdict.sentence,
        "calibration": asdict(profile.calibration),
        "expected": asdict(profile.reliability),
        "size_bytes": path.stat().st_size,
        "model_id": profile.model_id,
        "graph_id": profile.graph_id,
    }


def _print(console: PlainConsole, title: str, rows: dict[str, str]) -> None:
    table = new_table("", "", title=title)
    table.show_header = False
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    for name, text in rows.items():
        table.add_row(name, plain(text))
    console.print(table)


def _bundle_rows(facts: dict[str, Any]) -> dict[str, str]:
    from metaser.runtime.bundles.licences import what_it_allows

    backbone, head, audio = facts["backbone"], facts["head"], facts["audio"]
    accuracy = facts["accuracy"]
    order = sorted(accuracy, key=lambda name: (name != "protocol", name))  # the protocol first
    return {
        "name": facts["name"],
        "folder": facts["folder"],
        "backbone": f"{backbone['source']} ({backbone['model_type']}), layers: {backbone['layers']}, "
        f"width: {backbone['width']}",
        "head": f"{head['kind']}, embedding of {head['embedding_size']}, scale {head['scale']:g}",
        "precision": f"{facts['precision']}, for {', '.join(facts['providers'])}",
        "window": f"up to {audio['max_window_s']:g} s, one frame per "
        f"{1000 * audio['hop_samples'] / audio['sample_rate_hz']:g} ms",
        "size": f"{_size(facts['size_bytes'])} in {counted(len(facts['files']), 'file')}",
        "licence": f"{facts['licence']} (of the weights): {what_it_allows(facts['licence'])}",
        "trained on": ", ".join(facts["training_corpora"]) or "no emotional speech",
        "languages": ", ".join(facts["training_languages"]) or "none in particular",
        "accuracy": "; ".join(f"{name}: {accuracy[name]}" for name in order) or "not measured",
    }


def _profile_rows(facts: dict[str, Any]) -> dict[str, str]:
    from metaser.runtime.system.command_line import command_line

    return {
        "file": facts["file"],
        "bundle": facts["bundle"],
        "classes": ", ".join(f"{label} {count}" for label, count in facts["classes"].items()),
        "clips": str(facts["clips"]) + (f", and {others} of background speech" if (others := facts["others"]) else ""),
        "head": "tuned on these clips" if facts["tuned"] else "the bundle's own",
        "verdict": facts["verdict"],
        "unknown": _expected(facts["expected"]),
        "size": _size(facts["size_bytes"]),
        "undo": f"yes, {command_line('enroll --undo')} restores the previous profile" if facts["undo"] else "no",
    }


def _expected(expected: dict[str, Any]) -> str:
    """The expected rates of the answer unknown; --json prints all of them."""
    if expected["false_accepts"] is None or expected["false_rejects"] is None:
        return "rates not estimated: there are too few clips"
    return (
        f"expected for {percent(expected['false_rejects'])} of correct labels; "
        f"{percent(expected['false_accepts'])} of clips of no enrolled class get a label"
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.1f} kB"
