"""The tiny random encoders of the toolkit's tests, each traced once for all tests of the export."""

from collections.abc import Callable
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import onnx
import pytest

from metaser.export.graphs import encoder_graph

_spec = spec_from_file_location("toolkit_fixtures", Path(__file__).parents[1] / "toolkit" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

one_thread, saved = _fixtures.one_thread, _fixtures.saved
pretrained, wav2vec2, whisper = _fixtures.pretrained, _fixtures.wav2vec2, _fixtures.whisper

LAYERS = 2
WINDOW_S = 2.5


@pytest.fixture(scope="session")
def traced(saved: Callable[[str], Any]) -> Callable[[str], onnx.ModelProto]:
    """`traced(name)` -> the float32 graph of two layers; not to be changed."""

    @lru_cache
    def trace(name: str) -> onnx.ModelProto:
        return encoder_graph(saved(name).backbone(LAYERS), WINDOW_S)

    return trace


@pytest.fixture(scope="session")
def graph(pretrained: Any, traced: Callable[[str], onnx.ModelProto]) -> onnx.ModelProto:
    """The graph of every architecture in turn."""
    return traced(pretrained.name)
