"""The reference part of docs/api.md, from the signatures and docstrings of metaser.runtime."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import griffe

from tools.models_page import ROOT

if TYPE_CHECKING:
    from griffe import Attribute, Class, Function

SECTIONS = {
    "Engine": ("engine.Engine", "model.verification.Verification"),
    "Audio": ("audio.load.load_audio", "audio.load.read_blocks"),
    "Profiles": (
        "enrolment.profile.Profile",
        "enrolment.clip.Clip",
        "enrolment.profile.undo",
        "enrolment.profile_file.forget",
        "enrolment.find_clips.find_clips",
        "system.locks.profile_lock",
    ),
    "Reports": (
        "enrolment.report.Report",
        "enrolment.verdict.Verdict",
        "enrolment.evaluation.ProfileEvaluation",
        "enrolment.evaluation.TestedClip",
    ),
    "Decisions": ("scoring.decision.Decision", "scoring.decision.Calibration"),
    "Streams": ("stream.stream.Stream", "stream.event.StreamEvent", "stream.settings.StreamSettings"),
    "Bundles": ("bundles.bundle.open_bundle", "bundles.bundle.shipped_bundles"),
    "Errors": ("errors",),
}
"""Heading -> modules and names in metaser.runtime."""

SECTION_NAME = re.compile(r"(Parameters|Raises|Returns|Yields):")


def api_reference() -> str:
    """The reference in Markdown, readable without a site generator."""
    package = griffe.load("metaser.runtime", search_paths=[ROOT / "runtime"])
    lines: list[str] = []
    for heading, paths in SECTIONS.items():
        lines += [f"## {heading}", ""]
        for path in paths:
            lines += _documented(package[path])
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _documented(found: Any) -> Iterator[str]:
    if found.is_module:
        for each in found.classes.values():
            yield from _documented(each)
        return
    yield from (f"### {found.name}", "")
    if found.is_function:
        yield from _function(found)
        return
    bases = [str(base) for base in found.bases if str(base) not in ("object", "Exception")]
    yield from _text(found)
    if bases:
        yield from (f"A `{bases[0]}`.", "")
    members = [member for name, member in found.members.items() if not name.startswith("_") and not member.is_alias]
    for member in members:
        if member.is_attribute:
            yield _attribute(member)
    yield ""
    for member in members:
        if member.is_function:
            yield from _function(member, owner=found)


def _attribute(found: Attribute) -> str:
    annotation = f": {found.annotation}" if found.annotation else ""
    text = " ".join(_text(found)).strip()
    return f"- `{found.name}{annotation}`" + (f" {text}" if text else "")


def _function(found: Function, owner: Class | None = None) -> Iterator[str]:
    prefix = f"{owner.name}." if owner and found.decorators else "." if owner else ""
    yield from ("```python", f"{prefix}{_signature(found)}", "```", "")
    yield from _text(found)


def _signature(found: Function) -> str:
    shown: list[str] = []
    for parameter in found.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and "*" not in shown:
            shown.append("*")
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        default = f" = {parameter.default}" if parameter.default is not None else ""
        shown.append(f"{parameter.name}{annotation}{default}")
    returned = f" -> {found.returns}" if found.returns else ""
    line = f"{found.name}({', '.join(shown)}){returned}"
    if len(line) <= 100:
        return line
    inside = "".join(f"    {part},\n" for part in shown)
    return f"{found.name}(\n{inside}){returned}"


def _text(found: Any) -> Iterator[str]:
    """The docstring, with its sections as lists."""
    if not found.docstring:
        return
    for line in inspect.cleandoc(found.docstring.value).splitlines():
        if SECTION_NAME.fullmatch(line):
            yield from (line, "")
        elif line.startswith("        "):
            yield f"  {line.strip()}"
        elif line.startswith("    "):
            yield f"- {line.strip()}"
        else:
            yield line
    yield ""
