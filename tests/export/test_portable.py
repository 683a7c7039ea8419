"""Portable graphs: plain operators of an older opset, the same results, no unused input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from metaser.export.bundle import ExportSettings, export_bundle
from metaser.export.golden import voiced_waveform
from metaser.export.graphs import PORTABLE_OPSET, encoder_graph, head_graph
from metaser.export.source import Source
from metaser.runtime import Engine, open_bundle
from metaser.runtime.bundles.manifest import Precision
from metaser.runtime.scoring.decision import unit
from metaser.toolkit.model.network import make_head

LAYERS, WINDOW_S = 2, 2.5
pytestmark = pytest.mark.usefixtures("traced_once")


def silent(_: str) -> None:
    """Hear nothing."""


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def test_every_encoder_is_written_in_plain_operators(pretrained: Any, saved: Callable[[str], Any]) -> None:
    model = encoder_graph(saved(pretrained.name).backbone(LAYERS), WINDOW_S, portable=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", PORTABLE_OPSET)]
    assert operators(model).isdisjoint({"Attention", "Gelu"})
    onnx.checker.check_model(model, full_check=True)


def test_a_portable_head_has_no_input_that_nothing_reads() -> None:
    head = make_head("mean-fc", 16, 8)
    usual, portable = head_graph(head), head_graph(head, portable=True)
    assert "parameter.scale" in [value.name for value in usual.graph.input]
    read = {name for node in portable.graph.node for name in node.input}
    assert {value.name for value in portable.graph.input} <= read
    assert portable.opset_import[0].version == PORTABLE_OPSET


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_portable_bundle_gives_the_answers_of_the_usual_one(
    precision: Precision, source: Source, tmp_path: Path
) -> None:
    clip, embeddings = voiced_waveform(20_000, seed=3), []
    for portable in (False, True):
        settings = ExportSettings("tiny", precision, "metaser export", portable=portable)
        export_bundle(source, tmp_path / str(portable), settings, silent)
        engine = Engine.open(tmp_path / str(portable), provider="cpu")
        assert engine.verify().passed
        embeddings.append(unit(engine.embed(clip)))
    manifest = open_bundle(tmp_path / "True").manifest
    assert manifest.opset == PORTABLE_OPSET
    assert manifest.providers == (["cpu"] if precision == "int8" else ["cuda", "openvino", "cpu"])
    assert np.dot(*embeddings) > (0.9999 if precision == "int8" else 0.99999)
