"""Which library a provider lacks, by the dynamic linker's own words."""

import ctypes
from pathlib import Path

import pytest

from metaser.runtime.provider_library import missing_library


def made(package: Path) -> Path:
    library = package / "capi" / "libonnxruntime_providers_cuda.so"
    library.parent.mkdir()
    library.write_bytes(b"no library")
    return library


def test_the_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "libcudart.so.13: cannot open shared object file: No such file or directory"

    def load(path: str) -> None:
        assert path == str(library)
        raise OSError(said)

    library = made(tmp_path)
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert missing_library(tmp_path, "cuda") == said


def test_a_provider_without_a_library_of_its_own_or_with_one_that_is_damaged_misses_none(tmp_path: Path) -> None:
    assert missing_library(tmp_path, "cuda") is None
    made(tmp_path)
    assert missing_library(tmp_path, "cuda") is None
