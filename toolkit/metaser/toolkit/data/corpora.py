"""Find the labelled clips of a corpus below a folder, by the names of published corpora or by label folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metaser.runtime.audio.recordings import find_recordings, why_none
from metaser.runtime.enrolment.labels import tidy
from metaser.runtime.errors import InputError
from metaser.runtime.system.os_errors import not_found
from metaser.toolkit.data.corpus_checks import check_folders, without_copies
from metaser.toolkit.data.corpus_formats import READERS, NotUsedError, Reader, matches, read_name
from metaser.toolkit.data.corpus_stats import Report, readable, report
from metaser.toolkit.data.manifests import MANIFEST_COLUMNS, read_manifest
from metaser.toolkit.data.utterances import (
    Column,
    Corpus,
    Problem,
    Utterance,
    classes_by,
    to_vocabulary,
)

__all__ = [
    "FOLDERS",
    "MANIFEST_COLUMNS",
    "Column",
    "Corpus",
    "Problem",
    "Report",
    "Utterance",
    "classes_by",
    "read_any",
    "read_corpus",
    "read_manifest",
    "readable",
    "report",
]

FOLDERS = "folders"
"""The name of the generic reader, `<root>/<label>/<speaker>/clip` or `<root>/<label>/clip`."""


def read_corpus(root: str | Path, name: str | None = None) -> Corpus:
    """Read the corpus below `root` with the reader `name`, by default the one whose naming matches most files.

    If no reader matches at least half of the files, the folders are the labels: `<root>/<label>/<speaker>/clip` or
    `<root>/<label>/clip`, and the root's name is the corpus's name. Second copies of a clip and unreadable files become
    problems. Recordings are recognised by content; other files are ignored.

    Raises:
        NotFoundError: there is no such folder.
        InputError: no audio files, none that can be used, no reader of that name, several corpora below one root, or
            folders that are parts of a corpus or speakers.
    """
    root = Path(root)
    if not root.is_dir():
        raise not_found(root, "folder")
    if name is not None and name != FOLDERS and name not in READERS:
        raise InputError(f"no reader called {name!r}: there are {', '.join(READERS)} and {FOLDERS}")
    found = find_recordings(root)
    paths = sorted(found.recordings, key=lambda path: path.relative_to(root).as_posix())
    if not paths:
        raise InputError(f"{root} {why_none(found.left_out)}: give the folder of a corpus")
    reader = _detect(root, paths) if name is None else READERS.get(name)
    if reader is None:
        check_folders(root, paths)
    utterances: list[Utterance] = []
    problems = [Problem(each.path, each.reason) for each in found.left_out if not each.is_other]
    first: dict[tuple[str, str], Utterance] = {}
    for path in paths:
        clip = _read_clip(root, path, reader)
        if isinstance(clip, Problem):
            problems.append(clip)
        elif reader and (twin := first.setdefault((clip.speaker, path.stem), clip)) is not clip:
            problems.append(Problem(path, f"a second copy of {twin.path.relative_to(root).as_posix()}", expected=True))
        else:
            utterances.append(clip)
    if not utterances:
        last = problems[-1]
        raise InputError(f"none of the {len(paths)} audio files in {root} can be used; {last.path.name}: {last.reason}")
    if reader is None:  # published corpora are used as they are
        utterances, copies = without_copies(utterances)
        problems += copies
    return Corpus(reader.name if reader else root.resolve().name, tuple(utterances), tuple(problems), reader is None)


def read_any(path: Path) -> Corpus:
    """A corpus below a folder, or the table of a manifest where the path ends in `.csv`.

    Raises:
        NotFoundError: there is no such folder or table.
        InputError: as `read_corpus` and `read_manifest` do.
    """
    return read_manifest(path) if path.suffix.lower() == ".csv" else read_corpus(path)


def _detect(root: Path, paths: Sequence[Path]) -> Reader | None:
    """The reader that matches most files, with ties broken by the folder's name; None if it matches less than half."""
    matched = {reader.name: sum(matches(reader, path) for path in paths) for reader in READERS.values()}
    folder = root.resolve().name.lower()
    best = max(READERS, key=lambda name: (matched[name], name in folder))
    if 2 * matched[best] >= len(paths):
        return READERS[best]
    if 2 * sum(matched.values()) >= len(paths):
        counts = ", ".join(f"{count} of {name}" for name, count in matched.items() if count)
        raise InputError(f"{root} holds clips of several corpora ({counts}): give the folder of one")
    return None


def _read_clip(root: Path, path: Path, reader: Reader | None) -> Utterance | Problem:
    try:
        return _by_name(reader, path) if reader else _by_folder(root, path)
    except InputError as error:
        return Problem(path, str(error), expected=isinstance(error, NotUsedError))


def _by_name(reader: Reader, path: Path) -> Utterance:
    name = read_name(reader, path)
    return Utterance(path, name.label, name.speaker, reader.language, reader.name, name.original_label)


def _by_folder(root: Path, path: Path) -> Utterance:
    folders = path.relative_to(root).parts[:-1]
    if not folders:
        raise InputError("not in a folder that names its label")
    speaker = tidy(folders[1]) if len(folders) > 1 else ""
    return Utterance(path, to_vocabulary(folders[0]), speaker, "", root.resolve().name, tidy(folders[0]))
