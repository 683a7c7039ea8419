"""The tiny random encoders of the toolkit's tests; tracing takes nearly all of an export's time, and is done once."""

import copy
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import onnx
import pytest
import torch

from metaser.export import bundle
from metaser.export.graphs import encoder_graph
from metaser.export.source import Source
from metaser.toolkit.model.network import ProtoNet, make_head
from tests.toolkit.conftest import one_thread, pretrained, saved, wav2vec2, whisper

__all__ = ["one_thread", "pretrained", "saved", "wav2vec2", "whisper"]

LAYERS = 2
WINDOW_S = 2.5


@pytest.fixture(scope="session")
def traced(saved: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], onnx.ModelProto]:
    """`traced(name)` -> the float32 graph of two layers; not to be changed.

    The processes of one run share the graphs.
    """
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    @lru_cache
    def trace(name: str) -> onnx.ModelProto:
        shared = folder / f"{name}.onnx"
        if not shared.exists():
            onnx.save(encoder_graph(saved(name).backbone(LAYERS), WINDOW_S), own / "new.onnx")
            (own / "new.onnx").replace(shared)
        return onnx.load(shared)

    return trace


@pytest.fixture(scope="session")
def graph(pretrained: Any, traced: Callable[[str], onnx.ModelProto]) -> onnx.ModelProto:
    """The graph of every architecture in turn."""
    return traced(pretrained.name)


@pytest.fixture(scope="session")
def source(whisper: Any) -> Source:
    """One layer of a Whisper encoder with a GLU head; not to be changed."""
    torch.manual_seed(0)
    backbone = whisper.backbone(1)
    network = ProtoNet(backbone, make_head("glu", backbone.width, 8)).eval()
    return Source(network, name="tiny", licence="MIT", licence_text="", corpora=("made-up",), languages=("xx",))


@pytest.fixture(scope="session")
def tracers() -> dict[str, Callable[..., onnx.ModelProto]]:
    """The functions that trace a network for a bundle; each traces a network once."""

    def once(trace: Callable[..., onnx.ModelProto]) -> Callable[..., onnx.ModelProto]:
        kept = lru_cache(trace)
        return lambda *inputs, **settings: copy.deepcopy(kept(*inputs, **settings))

    return {name: once(getattr(bundle, name)) for name in ("encoder_graph", "head_graph")}


@pytest.fixture(scope="module")
def traced_once(tracers: dict[str, Callable[..., onnx.ModelProto]]) -> Iterator[None]:
    """Export bundles with graphs that are traced once; the weights of a network must not change."""
    with pytest.MonkeyPatch.context() as patch:
        for name, trace in tracers.items():
            patch.setattr(bundle, name, trace)
        yield
