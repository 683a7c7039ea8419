"""The exported graphs compared with PyTorch, over families, lengths, batches and heads."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from metaser.export.graphs import OPSET, encoder_graph, head_graph
from metaser.toolkit.model.masking import frame_mask
from metaser.toolkit.model.network import HEADS, make_head

LAYERS = 2


def session(model: Any) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString())


@pytest.fixture(scope="module")
def backbone(pretrained: Any) -> Any:
    return pretrained.backbone(LAYERS)


def run(graph: Any, clips: torch.Tensor, lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    feeds = {"input_values": clips.numpy(), "input_lengths": np.array(lengths, np.int64)}
    frames, frame_lengths = session(graph).run(["last_hidden_state", "frame_lengths"], feeds)
    return frames, frame_lengths


@pytest.mark.parametrize("extra", [0, 1, 319, 320, 321, 16_000])
def test_every_length_from_one_frame_on_equals_pytorch(backbone: Any, graph: Any, extra: int) -> None:
    samples = backbone.receptive_field_samples + extra
    clip = torch.randn(1, samples, generator=torch.Generator().manual_seed(extra)) / 4
    with torch.no_grad():
        expected, expected_lengths = backbone(clip, torch.tensor([samples]))
    frames, frame_lengths = run(graph, clip, [samples])
    np.testing.assert_array_equal(frame_lengths, expected_lengths)
    np.testing.assert_allclose(frames, expected, atol=1e-4)


def test_padding_and_batch_change_nothing(backbone: Any, graph: Any) -> None:
    lengths = [9_000, backbone.receptive_field_samples, 12_345]
    noise = torch.randn(3, max(lengths), generator=torch.Generator().manual_seed(0))
    together, frame_lengths = run(graph, noise, lengths)
    for row, length in enumerate(lengths):
        alone, (n,) = run(graph, noise[row : row + 1, :length].contiguous(), [length])
        assert n == frame_lengths[row]
        np.testing.assert_allclose(together[row, :n], alone[0], atol=1e-5)
        assert not together[row, n:].any()


def test_names_and_shapes_are_those_that_onnx_tools_expect(graph: Any, backbone: Any) -> None:
    inputs = {value.name: value for value in session(graph).get_inputs()}
    outputs = {value.name: value for value in session(graph).get_outputs()}
    assert {name: value.type for name, value in inputs.items()} == {
        "input_values": "tensor(float)",
        "input_lengths": "tensor(int64)",
    }
    assert inputs["input_values"].shape == ["batch", "samples"]
    assert outputs["last_hidden_state"].shape == ["batch", "frames", backbone.width]
    assert outputs["frame_lengths"].shape == ["batch"]
    assert [item.version for item in graph.opset_import if item.domain == ""] == [OPSET]


def test_attention_is_one_operator_a_layer(graph: Any) -> None:
    assert sum(node.op_type == "Attention" for node in graph.graph.node) == LAYERS


def test_the_graph_tells_nothing_of_the_machine_it_was_made_on(graph: Any) -> None:
    content = graph.SerializeToString()
    for trace in (b"site-packages", b".py", b"/home", b"torch"):
        assert trace not in content


def test_whisper_keeps_only_the_positions_of_its_window(whisper: Any) -> None:
    graph = encoder_graph(whisper.backbone(1), max_window_s=1.0)
    (positions,) = [tensor for tensor in graph.graph.initializer if "embed_positions" in tensor.name]
    assert list(positions.dims) == [50, 32]
    assert whisper.backbone(1).encoder.embed_positions.weight.shape == (128, 32)


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_takes_its_parameters_as_inputs(kind: str) -> None:
    torch.manual_seed(0)
    traced, tuned = make_head(kind, 12, 5), make_head(kind, 12, 5)
    graph = session(head_graph(traced))
    frames = torch.randn(3, 9, 12)
    mask = frame_mask(torch.tensor([9, 4, 1]), 9)
    parameters = {f"parameter.{name}": value.detach().numpy() for name, value in tuned.named_parameters()}
    names = {value.name for value in graph.get_inputs()}
    assert names >= {name for name in parameters if name != "parameter.scale"} | {"frames", "frame_mask"}
    feeds = {"frames": frames.numpy(), "frame_mask": mask.numpy(), **parameters}
    (embedding,) = graph.run(["embedding"], {name: value for name, value in feeds.items() if name in names})
    with torch.no_grad():
        np.testing.assert_allclose(embedding, tuned(frames, mask), atol=1e-6)
        assert np.abs(embedding - traced(frames, mask).numpy()).max() > 0.01
