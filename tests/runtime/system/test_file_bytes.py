"""Bytes of a file are read at any offset, also at one beyond its end from a damaged header."""

from pathlib import Path

import pytest

from metaser.runtime.system.file_bytes import CACHE_BYTES, FileBytes


@pytest.mark.parametrize("size", [4, CACHE_BYTES + 1, 2**62])
def test_a_place_or_a_size_beyond_the_file_gives_what_is_there(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"abcdefgh")
    with FileBytes(tmp_path / "file") as file:
        assert file.at(2, size) == b"cdefgh"[:size]
        assert file.at(8, size) == b""
        assert file.at(2**63, size) == b""
