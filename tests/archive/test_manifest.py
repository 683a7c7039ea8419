"""Manifests in every form that people have, and those that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from metaser.archive.source.manifest import Manifest
from metaser.archive.source.unit import WHOLE, Unit
from metaser.runtime.errors import InputError


def units(path: Path, content: str | bytes) -> list[Unit]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(Manifest(path))


def test_a_table_gives_paths_times_speakers_texts_and_further_columns(tmp_path: Path) -> None:
    found = units(
        tmp_path / "m.csv",
        'path,start_s,end_s,speaker,text,session\na.wav,0,1.5,Ann,"Well, yes",7\nsub/b.wav,,,,,\n',
    )
    assert found == [
        Unit(str(tmp_path / "a.wav"), "a.wav", (0.0, 1.5), "Ann", "Well, yes", {"session": "7"}),
        Unit(str(tmp_path / "sub/b.wav"), "sub/b.wav", WHOLE, "", "", {"session": ""}),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", "path,start_s,end_s\na.wav,1.5,3\n"),
        ("m.csv", "\ufeffPath, Start_s,END_S\r\na.wav,1.5,3\r\n\r\n"),
        ("m.csv", "path;start_s;end_s\na.wav;1,5;3,0\n"),
        ("m.tsv", "path\tstart_s\tend_s\na.wav\t1.5\t3\n"),
        ("m.jsonl", '{"path": "a.wav", "start_s": 1.5, "end_s": 3}\n\n'),
        ("m.ndjson", '{"path": "a.wav", "start_s": "1.5", "end_s": "3"}'),
    ],
)
def test_spreadsheets_and_programs_write_the_same_rows(tmp_path: Path, name: str, content: str) -> None:
    [unit] = units(tmp_path / name, content)
    assert (unit.shown, unit.span, unit.error) == ("a.wav", (1.5, 3.0), "")


def test_parquet_gives_the_same_units_as_json_lines(tmp_path: Path) -> None:
    rows = [{"path": f"{place}.wav", "start_s": place / 2, "end_s": place + 1.0, "id": place} for place in range(5000)]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    by_lines = units(tmp_path / "m.jsonl", "\n".join(map(json.dumps, rows)))
    assert list(Manifest(tmp_path / "m.parquet")) == by_lines


def test_absolute_paths_stay_and_dots_are_resolved(tmp_path: Path) -> None:
    found = units(tmp_path / "m.csv", "path\n/elsewhere/a.wav\n./x/../b.wav\n")
    assert [unit.path for unit in found] == ["/elsewhere/a.wav", str(tmp_path / "b.wav")]


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("-1", "2", "starts at -1 s"),
        ("2", "2", "the end must be later than the start"),
        ("3", "2", "starts at 3 s and ends at 2 s"),
        ("", "0", "the end must be later"),
        ("0", "601", "at most 600 s"),
        ("nan", "2", "starts at nan s"),
        ("0", "inf", "the end must be later"),
        ("a minute", "2", "start_s is 'a minute': give seconds"),
        ("0", "1:30", "end_s is '1:30': give seconds"),
    ],
)
def test_times_that_make_no_sense_are_errors_of_their_row(tmp_path: Path, start: str, end: str, words: str) -> None:
    bad, good = units(tmp_path / "m.csv", f"path,start_s,end_s\na.wav,{start},{end}\na.wav,0,1\n")
    assert words in bad.error
    assert good.error == ""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", "file,label\na.wav,joy\n", "has no column path (its columns: 'file', 'label')"),
        ("m.csv", "", "has no column path (its columns: none)"),
        ("m.csv", "path,path\na.wav,b.wav\n", "has the column 'path' twice"),
        ("m.csv", "path,text\na.wav\n", "line 2 has 1 values for 2 columns"),
        ("m.csv", 'path\n"a.wav\n', "is not CSV"),
        ("m.csv", "path,text\n,hello\n", "line 2 has no path"),
        ("m.csv", b"path\n\xff.wav\n", "is not UTF-8"),
        ("m.csv", "path\na\0.wav\n", "line 2"),
        ("m.jsonl", '{"path": "a.wav"}\n{"path": ', "line 2 is not JSON"),
        ("m.jsonl", '["a.wav"]\n', "line 1 is a list"),
        ("m.jsonl", '{"file": "a.wav"}\n', "line 1 has no column path"),
        ("m.jsonl", '{"path": null}\n', "line 1 has no path"),
        ("m.parquet", "path\na.wav\n", "is not Parquet"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, words: str
) -> None:
    with pytest.raises(InputError) as error:
        units(tmp_path / name, content)
    assert words in str(error.value)
    assert str(tmp_path / name) in str(error.value)
