"""A clip of a profile: its label, its content and its path at enrolment."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count

from metaser.runtime.arguments import check_fields
from metaser.runtime.audio.contour import Contour
from metaser.runtime.audio.quality import ClipQuality
from metaser.runtime.enrolment.labels import tidy
from metaser.runtime.errors import SupportError
from metaser.runtime.system.command_line import command_line
from metaser.runtime.words import counted, kind_of, listed

LISTED = 5
"""Names in a sentence."""


@dataclass(frozen=True, order=True)
class Clip:
    """The source of one row of a profile's embeddings.

    Raises:
        SupportError: a field has another type.
    """

    label: str
    sha256: str
    """Hash of the file's bytes, or of the float32 samples of an array."""

    name: str
    path: str
    """Absolute path at enrolment; empty for an array."""

    group: str = ""
    """Folder between the label's folder and the clip, for several takes, places or microphones."""

    copies: tuple[str, ...] = field(default=(), compare=False)
    """Names of files with the same content in the same class; they count once."""

    quality: ClipQuality | None = field(default=None, compare=False)
    """Measured at enrolment; None for a clip that was not."""

    contour: Contour | None = field(default=None, compare=False, repr=False)
    """uint8 [4, N], the loudness over time by which copies of the clip are found; None without speech."""

    def __post_init__(self) -> None:
        check_fields(self, SupportError)

    @property
    def title(self) -> str:
        """Label, group and name, in the form for `metaser enroll --remove`."""
        return "/".join(part for part in (self.label, self.group, self.name) if part)


def check_clips(clips: object) -> None:
    """Raise SupportError unless these are clips, as of a profile."""
    if not isinstance(clips, (tuple, list)) or not all(isinstance(clip, Clip) for clip in clips):
        raise SupportError(f"clips is {kind_of(clips)}: give clips such as profile.clips")


def enrolled_elsewhere(clip: Clip, known: Clip) -> SupportError:
    """The error for a recording that is enrolled in another class, as `known`."""
    remove = command_line(f"enroll --remove {shlex.quote(known.title)}")
    return SupportError(f"{clip.title} is already enrolled as {known.title}: remove it there first, `{remove}`")


def with_tidy_label(clip: Clip) -> Clip:
    """The clip of an older profile, with its label normalised as at enrolment now."""
    return replace(clip, label=tidy(clip.label) or clip.label)


def array_name(number: int) -> str:
    """The name of a clip that was given as an array, by its number in its class."""
    return f"array {number}"


def with_new_names(clips: Sequence[Clip], taken: Collection[str]) -> list[Clip]:
    """The clips, with those given as arrays numbered on where a title is taken."""
    titles = set(taken)
    renamed = []
    for clip in clips:
        names = chain([clip.name], map(array_name, count()))
        while not clip.path and clip.title in titles:
            clip = replace(clip, name=next(names))  # noqa: PLW2901 # the same clip
        titles.add(clip.title)
        renamed.append(clip)
    return renamed


def names_of(clip: Clip) -> tuple[str, ...]:
    """The names of a clip: `LABEL/GROUP/NAME`, `LABEL/NAME`, `LABEL/SHA256`."""
    return clip.title, f"{clip.label}/{clip.name}", f"{clip.label}/{clip.sha256}"


def rows_named(clips: Sequence[Clip], name: str) -> set[int]:
    """The rows of a class or of a clip: by its exact name, else by a name that is typed differently.

    Raises:
        SupportError: it is not text, is the name of both a class and a clip, or of several clips.
    """
    if not isinstance(name, str):
        raise SupportError(f"{name!r} is {kind_of(name)}: give the label as text")
    for form in (str, _typed):
        of_class = {row for row, clip in enumerate(clips) if form(clip.label) == form(name)}
        titled = {row for row, clip in enumerate(clips) if form(name) == form(clip.title)}
        named = {row for row, clip in enumerate(clips) if form(name) in map(form, names_of(clip))}
        of_clip = (titled or named) - of_class
        if of_class and of_clip:
            raise SupportError(
                f"{name} is both a class and a clip of another class: name the clip LABEL/SHA256, as "
                f"`{command_line('enroll --report --json')}` shows it, or rename the class"
            )
        if len(of_clip) > 1:
            raise SupportError(
                f"{name} is the name of {counted(len(of_clip), 'clip')}: name one of "
                f"{listed([_full_name(clips, row) for row in sorted(of_clip)], LISTED)}"
            )
        if of_class or of_clip:
            return of_class or of_clip
    return set()


def _full_name(clips: Sequence[Clip], row: int) -> str:
    """The title of a clip, or its label and hash if others have that title."""
    clip = clips[row]
    titles = [other.title for other in clips]
    return clip.title if titles.count(clip.title) == 1 else f"{clip.label}/{clip.sha256}"


def _typed(name: str) -> str:
    """The name of a class or clip, normalised so that differences of typing do not matter."""
    return "/".join(tidy(part) for part in name.rstrip("/").split("/"))
