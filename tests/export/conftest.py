"""The tiny random encoders of the toolkit's tests, each traced once for all tests of the export."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import onnx
import pytest

from metaser.export.graphs import encoder_graph
from tests.toolkit.conftest import one_thread, pretrained, saved, wav2vec2, whisper

__all__ = ["one_thread", "pretrained", "saved", "wav2vec2", "whisper"]

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
