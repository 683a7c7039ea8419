"""The library that a provider lacks, from the dynamic linker's message."""

import ctypes
from pathlib import Path

import pytest

from metaser.runtime.errors import MissingDependencyError
from metaser.runtime.providers.library import load_cuda_libraries, missing_library
from metaser.runtime.providers.session import import_onnxruntime, open_session


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


def test_nothing_is_printed_where_cuda_is_in_no_package(capsys: pytest.CaptureFixture[str]) -> None:
    class Wheel:
        asked: dict[str, object] | None = None

        def preload_dlls(self, **words: object) -> None:
            print("Failed to load libcublasLt.so.13")  # noqa: T201 # as ONNX Runtime does
            self.asked = words

    wheel = Wheel()
    load_cuda_libraries(wheel)
    assert wheel.asked == {"msvc": False}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("provider", "given", "options"),
    [
        ("cuda", {}, {"use_tf32": "0"}),
        ("cuda", {"use_tf32": "1", "device_id": "1"}, {"use_tf32": "1", "device_id": "1"}),
        ("tensorrt", {"device_id": "1"}, {"device_id": "1"}),
        ("openvino", {}, {}),
    ],
)
def test_cuda_loads_its_packages_and_multiplies_float32_exactly_unless_asked_otherwise(
    provider: str, given: dict[str, str], options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, str]]] = []
    loaded: list[str] = []

    def refuse(_path: str, _options: object, providers: list[tuple[str, dict[str, str]]], **_words: object) -> None:
        asked.append(providers[0])
        raise ValueError("no GPU")

    ort = import_onnxruntime()
    monkeypatch.setattr(ort, "InferenceSession", refuse)
    monkeypatch.setattr(ort, "preload_dlls", lambda **_words: loaded.append(provider))
    with pytest.raises(MissingDependencyError):
        open_session(Path("encoder.onnx"), provider, None, (), provider_options=given)
    ((name, found),) = asked
    assert name.lower().startswith(provider)
    assert found == options
    assert loaded == ([provider] if provider in ("cuda", "tensorrt") else [])
