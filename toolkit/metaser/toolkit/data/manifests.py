"""Labelled clips listed in a CSV table, for corpora without a reader and classes that are not emotions."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from metaser.runtime.enrolment.labels import tidy
from metaser.runtime.errors import InputError, NotFoundError
from metaser.toolkit.data.corpus_checks import without_copies
from metaser.toolkit.data.utterances import Corpus, Problem, Utterance, to_vocabulary

MANIFEST_COLUMNS = ("path", "label", "speaker", "language", "corpus")


def read_manifest(csv_path: str | Path) -> Corpus:
    """Read a CSV table with the columns path, label, speaker, language, corpus; paths are relative to its folder.

    Speaker and language may be empty; an empty corpus becomes the table's name. Missing files become problems.

    Raises:
        NotFoundError: there is no such table.
        InputError: columns are missing or unknown, or a line is incomplete or names a clip a second time.
    """
    csv_path = Path(csv_path)
    if not csv_path.is_file():
        raise NotFoundError(f"no such manifest: {csv_path}")
    try:
        text = csv_path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{csv_path.name} is not UTF-8 ({error.reason} at byte {error.start}): convert it") from error
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    line_of: dict[Path, int] = {}
    for line, row in _rows(text, csv_path.name):
        path = _place(csv_path.parent, row["path"])
        if (twin := line_of.setdefault(path, line)) != line:
            raise InputError(f"{csv_path.name} line {line}: {row['path']} is already on line {twin}")
        if _is_there(path):
            utterances.append(_utterance(path, row, csv_path.stem))
        else:
            problems.append(Problem(path, f"no such file ({csv_path.name} line {line})"))
    if not utterances:
        raise InputError(
            f"{csv_path.name} names {len(problems)} clips and none of them exists: paths start from its folder"
        )
    utterances, copies = without_copies(utterances)
    problems += copies
    utterances.sort(key=lambda utterance: utterance.path.as_posix())
    return Corpus(csv_path.stem, tuple(utterances), tuple(problems))


def _place(folder: Path, name: str) -> Path:
    """The path of a clip; the table and the file system may use different Unicode normal forms of one name."""
    forms = [folder / name, folder / unicodedata.normalize("NFC", name), folder / unicodedata.normalize("NFD", name)]
    return next((path for path in forms if _is_there(path)), forms[0])


def _is_there(path: Path) -> bool:
    """Whether the file exists, or access is denied, which the survey reports."""
    try:
        return path.is_file()
    except OSError:
        return True


def _rows(text: str, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, values by column), checked."""
    rows = _lines(text, name)
    _, columns = next(rows, (1, []))
    _check_columns(columns, name)
    for line, values in rows:
        if len(values) != len(columns):
            raise InputError(f"{name} line {line} has {len(values)} values and there are {len(columns)} columns")
        row = {
            column: value if column == "path" else tidy(value) for column, value in zip(columns, values, strict=True)
        }
        if empty := [column for column in ("path", "label") if not row[column]]:
            raise InputError(f"{name} line {line} has no {empty[0]}")
        yield line, row


def _lines(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, values without surrounding spaces) of the lines that are not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for values in reader:
            if values:
                yield reader.line_num, [value.strip() for value in values]
    except csv.Error as error:
        raise InputError(f"{name} line {reader.line_num} is not CSV ({error})") from error


def _check_columns(columns: Iterable[str], name: str) -> None:
    columns = list(columns)
    if sorted(columns) == sorted(MANIFEST_COLUMNS):
        return
    missing = [column for column in MANIFEST_COLUMNS if column not in columns]
    unknown = [column for column in columns if column not in MANIFEST_COLUMNS]
    faults = [f"lacks {', '.join(missing)}"] if missing else []
    faults += [f"has unknown {', '.join(map(repr, unknown))}"] if unknown else []
    raise InputError(
        f"{name} line 1 {' and '.join(faults) or 'repeats a column'}: its columns are {','.join(MANIFEST_COLUMNS)}"
    )


def _utterance(path: Path, row: Mapping[str, str], default_corpus: str) -> Utterance:
    return Utterance(
        path=path,
        label=to_vocabulary(row["label"]),
        speaker=row["speaker"],
        language=row["language"],
        corpus=row["corpus"] or default_corpus,
        original_label=row["label"],
    )
