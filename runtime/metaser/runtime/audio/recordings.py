"""Finding the recordings below a folder; every other file is listed with the reason.

Links are followed. Hidden files and files of operating systems are ignored.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from metaser.runtime.audio.formats.kind import looks_like_audio

AUDIO_SUFFIXES = frozenset({
    ".3ga", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".awb", ".caf",
    ".dts", ".flac", ".gsm", ".m4a", ".m4b", ".m4r", ".mka", ".mkv", ".mov", ".mp1", ".mp2", ".mp3", ".mp4", ".mpc",
    ".mpga", ".nist", ".oga", ".ogg", ".opus", ".pcm", ".ra", ".raw", ".rf64", ".snd", ".sph", ".spx", ".tta", ".voc",
    ".vox", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma", ".wv",
})  # fmt: skip
"""A file with such a suffix is meant as a recording; it is an error if it cannot be read as one."""

FEW = 3
"""Number of files that are not audio to name in one line; JSON lists all."""

LISTED = 20
"""Number of unreadable files to list in separate lines."""

IN_ITSELF = "is a link to a folder that it lies in"

_JUNK = frozenset({
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "@recycle", "#recycle", "#snapshot",
    "$recycle.bin", "recycler", "system volume information", "lost+found", "network trash folder", "temporary items",
    "cvs",
})  # fmt: skip


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not used."""

    path: Path
    reason: str
    """The reason, as the rest of a sentence that begins with its name."""

    is_other: bool = False
    """It can be read but is not audio, such as notes next to the clips."""


@dataclass(frozen=True)
class Found:
    """The content of a folder, each part sorted by path."""

    recordings: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or belongs to an operating system, and is silently ignored."""
    return name.startswith(".") or name.lower() in _JUNK


def is_called_audio(path: Path) -> bool:
    """Whether the suffix is that of a recording."""
    return path.suffix.strip().lower() in AUDIO_SUFFIXES


def cannot_be_read(error: OSError) -> str:
    """The system's message, as the rest of a sentence that begins with the file's name."""
    if isinstance(error, FileNotFoundError):
        return "is not there"
    return f"cannot be read ({error.strerror or error})"


def holds(folder: str | Path, path: str | Path) -> bool:
    """Whether a path is a folder or lies in it, with links resolved."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def find_recordings(folder: Path) -> Found:
    """Search everything below a folder; files without an audio suffix are recognised by content.

    Each folder is searched once, even if several links lead to it. A folder that cannot be listed is left out like a
    file.
    """
    walk = _Walk(folder)
    recordings = tuple(sorted(walk.files()))
    return Found(recordings, tuple(sorted(walk.left_out, key=lambda each: each.path)))


def why_none(left_out: Sequence[LeftOut]) -> str:
    """Why a folder has no recordings, as the rest of a sentence that begins with its name."""
    if not left_out:
        return "has no audio files"
    first = min(left_out, key=lambda each: each.is_other)
    what = "has no audio files" if first.is_other else "has no clips that can be read"
    more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    return f"{what} ({first.path} {first.reason}{more})"


def summary(left_out: Sequence[LeftOut]) -> list[str]:
    """One line per file that cannot be used, and one line for all that are not audio."""
    lines = [f"Left out: {each.path} {each.reason}" for each in left_out if not each.is_other]
    if len(lines) > LISTED:
        lines[LISTED:] = [f"Left out: {len(lines) - LISTED} more"]
    if others := [str(each.path) for each in left_out if each.is_other]:
        more = f" and {len(others) - FEW} more" if len(others) > FEW else ""
        lines.append(f"Not audio, and left out: {', '.join(others[:FEW])}{more}")
    return lines


def fault_of(path: Path) -> LeftOut | None:
    """Why a file is not used as a recording; None if it is one. Only a few bytes are read."""
    try:
        if not path.is_file():
            return LeftOut(path, "is not a regular file" if path.exists() else "is a link to nothing")
        if is_called_audio(path):
            with path.open("rb"):  # check that it may be read
                return None
        return None if looks_like_audio(path) else LeftOut(path, "is not audio", is_other=True)
    except OSError as error:
        return LeftOut(path, cannot_be_read(error))


class _Walk:
    """One walk through a folder; links to folders are followed last, so that clips keep their own place."""

    def __init__(self, folder: Path) -> None:
        self.left_out: list[LeftOut] = []
        self._root = folder
        self._seen: set[str] = set()
        self._folders = deque([folder])
        self._linked: deque[Path] = deque()

    def files(self) -> Iterator[Path]:
        """The recordings, in no particular order."""
        while self._folders or self._linked:
            folder = (self._folders or self._linked).popleft()
            if (real := os.path.realpath(folder)) not in self._seen:
                self._seen.add(real)
                yield from self._files_in(folder)

    def _files_in(self, folder: Path) -> Iterator[Path]:
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry for entry in entries if not is_junk(entry.name)), key=lambda each: each.name)
        except OSError as error:
            self.left_out.append(LeftOut(folder, cannot_be_read(error)))
            return
        for entry in found:
            path = Path(entry.path)
            if not os.path.isdir(path):  # noqa: PTH112 # of a circle of links the other methods raise
                if fault := fault_of(path):
                    self.left_out.append(fault)
                else:
                    yield path
            elif not entry.is_symlink():
                self._folders.append(path)
            elif holds(path, folder) or holds(path, self._root):
                self.left_out.append(LeftOut(path, IN_ITSELF))
            else:
                self._linked.append(path)
