"""The detector's graph computes what Silero's convolutions and recurrent cell compute, whatever the weights."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from tools.make_detector import HOP, Floats, as_product, build, encoded_silence, in_onnx_order

SHAPES = {
    "stft.forward_basis_buffer": (258, 1, 256),
    "encoder.0.reparam_conv.weight": (128, 129, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (512, 128),
    "decoder.rnn.weight_hh": (512, 128),
    "decoder.rnn.bias_ih": (512,),
    "decoder.rnn.bias_hh": (512,),
    "decoder.decoder.2.weight": (1, 128, 1),
    "decoder.decoder.2.bias": (1,),
}


@pytest.fixture(scope="module")
def weights() -> dict[str, Floats]:
    rng = np.random.default_rng(0)
    scales = {name: 1 / np.sqrt(np.prod(shape[1:])) for name, shape in SHAPES.items()}
    return {name: (scales[name] * rng.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}


def by_pytorch(weights: dict[str, Floats], frames: Floats) -> Floats:
    """[M] by the layers as Silero writes them, chunk after chunk, for frames [M, 640]."""
    tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
    spectrum = F.conv1d(torch.from_numpy(frames)[:, None], tensors["stft.forward_basis_buffer"], stride=HOP)
    values = (spectrum[:, :129] ** 2 + spectrum[:, 129:] ** 2).sqrt()
    for layer, stride in enumerate((1, 2, 2, 1)):
        weight, bias = (tensors[f"encoder.{layer}.reparam_conv.{name}"] for name in ("weight", "bias"))
        values = F.conv1d(values, weight, bias, stride=stride, padding=1).relu()
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict({name: tensors[f"decoder.rnn.{name}"] for name in cell.state_dict()})
    state, found = None, []
    with torch.inference_mode():
        for step in values[:, :, 0]:
            state = cell(step[None], state)
            output = F.conv1d(state[0].relu()[..., None], tensors["decoder.decoder.2.weight"])
            found.append((output + tensors["decoder.decoder.2.bias"]).sigmoid().ravel())
    return torch.cat(found).numpy()


def test_the_graph_gives_the_probabilities_of_silero_s_layers(weights: dict[str, Floats]) -> None:
    frames = np.random.default_rng(1).standard_normal((7, 640)).astype(np.float32)
    frames[[2, 3]] = 0
    graph = build(weights, encoded_silence(weights)).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    rows = np.array([1, 2, 0, 0, 3, 4, 5])[:, None]
    sounds = np.delete(frames, [2, 3], axis=0).reshape(-1, 5, HOP)
    state = np.zeros((1, 1, 128), np.float32)
    found = session.run(["probability"], {"frames": sounds, "rows": rows, "hidden": state, "cell": state})[0]
    wanted = by_pytorch(weights, frames)
    assert np.ptp(wanted) > 0.001
    np.testing.assert_allclose(found[:, 0], wanted, atol=1e-5)


def test_a_convolution_as_a_product_keeps_the_taps_that_are_within_its_steps() -> None:
    weight = np.array([[[1, 2, 3]]], np.float32)  # one channel
    np.testing.assert_array_equal(as_product(weight, steps=3, stride=1), [[2, 1, 0], [3, 2, 1], [0, 3, 2]])
    np.testing.assert_array_equal(as_product(weight, steps=4, stride=2), [[2, 0], [3, 1], [0, 2], [0, 3]])
    np.testing.assert_array_equal(as_product(weight, steps=1, stride=1), [[2]])


def test_gates_are_put_in_the_order_of_onnx() -> None:
    np.testing.assert_array_equal(in_onnx_order(np.array([1, 2, 3, 4], np.float32)), [1, 4, 2, 3])
