"""The shards of a job: files of records, each written whole, so that a killed job loses at most those in memory.

    OUT/shards/NAME.jsonl    one line with the job's fingerprint, then one record per line

The name is a hash of the keys of its records.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from metaser.archive.work.job import Fingerprint
from metaser.archive.work.record import Record
from metaser.runtime.errors import InputError
from metaser.runtime.system.files import replace_text

FOLDER = "shards"
SUFFIX = ".jsonl"
VERSION = 1

SHARD_S = 2.0
"""A shard is written after this time: a kill costs no more, or one recording if that takes longer."""

SHARD_RECORDS = 4096
OFFSET_BITS, OPEN_SHARDS = 40, 64


class ShardWriter:
    """Collect records, and write them as shards."""

    def __init__(self, out: Path, fingerprint: Fingerprint) -> None:
        self._folder = out / FOLDER
        self._head = head_of(fingerprint)
        self._records: list[Record] = []
        self._began = 0.0

    def add(self, record: Record) -> None:
        """Take a record."""
        if not self._records:
            self._began = time.monotonic()
        self._records.append(record)

    @property
    def is_due(self) -> bool:
        """Whether the records have waited for `SHARD_S`, or are many."""
        waited_s = time.monotonic() - self._began
        return bool(self._records) and (waited_s >= SHARD_S or len(self._records) >= SHARD_RECORDS)

    def write(self) -> None:
        """Write the records so far as a shard.

        Raises:
            WorkError: it cannot be written; the records are kept.
        """
        if self._records:
            name = hashlib.blake2b(b"".join(record.key for record in self._records), digest_size=16).hexdigest()
            text = self._head + "".join(record.to_line() for record in self._records)
            replace_text(self._folder / f"{name}{SUFFIX}", text)
            self._records = []


class Shards:
    """The shards in a folder of results, which must all be of one job.

    Raises:
        InputError: a shard is damaged, or is of another job.
    """

    def __init__(self, out: Path, fingerprint: Fingerprint) -> None:
        self._out = out
        self._fingerprint = fingerprint
        self._paths: list[Path] = []
        self._places: dict[bytes, int] = {}  # key -> number of the shard, and offset in it
        self._failed: set[Path] = set()
        self._open: OrderedDict[int, BinaryIO] = OrderedDict()
        self.read()

    def read(self) -> None:
        """Read which units have a record; of two records of one unit, as after a kill at a bad moment, one counts."""
        self._places.clear()
        self._failed.clear()
        self.close()
        folder = self._out / FOLDER
        self._paths = sorted(folder.glob(f"[!.]*{SUFFIX}"))
        for number, path in enumerate(self._paths):
            for offset, record in self._records(path):
                self._places.setdefault(record.key, number << OFFSET_BITS | offset)
                if record.failed:
                    self._failed.add(path)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def record(self, key: bytes) -> Record | None:
        """The record of a unit; None if it has none yet."""
        place = self._places.get(key)
        if place is None:
            return None
        file = self._opened(place >> OFFSET_BITS)
        file.seek(place & ((1 << OFFSET_BITS) - 1))
        return Record.from_line(file.readline())

    def forget_failed(self) -> None:
        """Drop the records of units without a label, so that they are tried again.

        Raises:
            WorkError: a shard cannot be written again.
        """
        for path in sorted(self._failed):
            kept = [record.to_line() for _, record in self._records(path) if not record.failed]
            if kept:
                replace_text(path, head_of(self._fingerprint) + "".join(kept))
            else:
                path.unlink(missing_ok=True)
        self.read()

    def close(self) -> None:
        """Close the files."""
        while self._open:
            self._open.popitem()[1].close()

    def _opened(self, number: int) -> BinaryIO:
        """An open shard; those used last stay open."""
        file = self._open.pop(number, None) or self._paths[number].open("rb")
        self._open[number] = file
        if len(self._open) > OPEN_SHARDS:
            self._open.popitem(last=False)[1].close()
        return file

    def _records(self, path: Path) -> Iterator[tuple[int, Record]]:
        """Yield (offset, record) for the records of a shard, which must be of this job."""
        try:
            with path.open("rb") as file:
                self._check_head(file.readline(), path)
                offset = file.tell()
                for line in file:
                    yield offset, Record.from_line(line)
                    offset += len(line)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is damaged: delete it, and its recordings are labelled again") from error

    def _check_head(self, line: bytes, path: Path) -> None:
        head = json.loads(line)
        if head.pop("shard") != VERSION:
            raise InputError(f"{path} was written by another version of metaser: choose another folder")
        self._fingerprint.check_same(Fingerprint.from_dict(head), self._out)


def head_of(fingerprint: Fingerprint) -> str:
    """The first line of a shard."""
    return json.dumps({"shard": VERSION, **asdict(fingerprint)}) + "\n"
