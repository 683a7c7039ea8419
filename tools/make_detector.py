"""Silero's speech detector as a graph for all chunks of a call: `python -m tools.make_detector WHEEL`.

WHEEL is silero-vad 6.2.3 from PyPI (`pip download --no-deps silero-vad==6.2.3`), whose weights for 16 kHz are used
unchanged. Silero's convolutions over the four frames of a chunk become matrix products over all chunks, and only the
recurrent cell runs chunk by chunk. Writes runtime/metaser/runtime/data/silero/ with Silero's licence.

    frames         [N, 5, 128]   chunks, each with 64 samples before and after it
    rows           [M, 1]        for each chunk its row of frames, counted from 1, or 0 for digital silence
    hidden, cell   [1, 1, 128]   the state before the first chunk
    probability    [M, 1]        of speech
    next_hidden, next_cell       the state after the last chunk
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from metaser.runtime.bundles.bundle import shipped_folder
from metaser.runtime.system.files import SHARED, replace_file

SOURCE = "silero_vad/data/silero_vad_16k_op15.onnx"
SOURCE_SHA256 = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"
LICENCE = "silero_vad-6.2.3.dist-info/licenses/LICENSE"
HOP, BINS, HIDDEN = 128, 129, 128
OPSET, IR_VERSION = 18, 8

Floats = npt.NDArray[np.float32]
Shape = list[str | int]


class GraphBuilder:
    """Nodes and constants in the order of writing."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant; return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def whole(self, *values: int) -> str:
        """Add a constant of integers; return its name."""
        return self.constant(values, np.int64)

    def add(self, operator: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: Any) -> str:
        """Add a node; return the name of its first output."""
        names = outputs or (f"{operator.lower()}_{len(self.nodes)}",)
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0]

    def dense(
        self, values: str, weight: Floats, bias: Floats, activation: str = "Relu", outputs: tuple[str, ...] = ()
    ) -> str:
        """Add a product with a weight [in, out], a bias and an activation; return the name of its output."""
        product = self.add("Gemm", values, self.constant(weight), self.constant(bias))
        return self.add(activation, product, outputs=outputs)


def read_weights(source: bytes) -> dict[str, Floats]:
    """Silero's weights by name."""
    graph = onnx.load_from_string(source).graph
    return {each.name.removeprefix("model."): numpy_helper.to_array(each) for each in graph.initializer}


def build(weights: dict[str, Floats], silence: Floats | None = None) -> onnx.ModelProto:
    """The graph; `silence` [1, 128] is the encoding of zeros. Without it the only output is `encoded`."""
    graph = GraphBuilder()
    encoded = _encode(graph, weights)  # [N, 128]
    if silence is None:
        graph.add("Identity", encoded, outputs=("encoded",))
        return _model(graph, inputs={"frames": ["N", 5, HOP]}, outputs={"encoded": ["N", HIDDEN]})
    known = graph.add("Concat", graph.constant(silence), encoded, axis=0)  # [1 + N, 128]
    _decode(graph, weights, graph.add("Gather", known, "rows", axis=0))  # [M, 1, 128]
    state: dict[str, Shape] = {name: [1, 1, HIDDEN] for name in ("hidden", "cell")}
    return _model(
        graph,
        inputs={"frames": ["N", 5, HOP], "rows": ["M", 1], **state},
        outputs={"probability": ["M", 1], **{f"next_{name}": shape for name, shape in state.items()}},
    )


def _encode(graph: GraphBuilder, weights: dict[str, Floats]) -> str:
    """[N, 128] of the chunks: magnitudes of four frames each, and four convolutions over them."""
    pairs = graph.constant([[0, 1], [1, 2], [2, 3], [3, 4]], np.int64)
    windows = graph.add("Reshape", graph.add("Gather", "frames", pairs, axis=1), graph.whole(-1, 2 * HOP))  # [4N, 256]
    basis = weights["stft.forward_basis_buffer"][:, 0].T  # [256, 258]
    spectrum = graph.add("MatMul", windows, graph.constant(basis))
    parts = graph.add("Reshape", spectrum, graph.whole(-1, 4, 2, BINS))  # real and imaginary
    magnitudes = graph.add("ReduceL2", parts, graph.whole(2), keepdims=0)  # [N, 4, 129]
    (first, first_bias), (second, second_bias), (third, third_bias), (fourth, fourth_bias) = (
        (weights[f"encoder.{layer}.reparam_conv.weight"], weights[f"encoder.{layer}.reparam_conv.bias"])
        for layer in range(4)
    )  # [out, in, 3]
    padded = graph.add("Pad", magnitudes, graph.whole(0, 1, 0, 0, 1, 0))  # [N, 6, 129]
    taps = graph.constant([[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]], np.int64)
    windows = graph.add("Reshape", graph.add("Gather", padded, taps, axis=1), graph.whole(-1, 3 * BINS))  # [4N, 387]
    values = graph.dense(windows, first.transpose(2, 1, 0).reshape(3 * BINS, -1), first_bias)  # [4N, 128]
    values = graph.add("Reshape", values, graph.whole(-1, 4 * first.shape[0]))  # [N, 512]
    for weight, bias, stride, steps in (
        (second, second_bias, 2, 4),
        (third, third_bias, 2, 2),
        (fourth, fourth_bias, 1, 1),
    ):
        product = as_product(weight, steps, stride)
        values = graph.dense(values, product, np.tile(bias, product.shape[1] // len(bias)))
    return values


def as_product(weight: Floats, steps: int, stride: int) -> Floats:
    """[steps * in, kept * out]: a convolution of three taps over `steps` steps, padded by a zero at both ends."""
    size, channels, taps = weight.shape
    kept = (steps - 1) // stride + 1
    product = np.zeros((steps, channels, kept, size), np.float32)
    for target in range(kept):
        for tap in range(taps):
            source = target * stride + tap - 1
            if 0 <= source < steps:
                product[source, :, target] = weight[:, :, tap].T
    return product.reshape(steps * channels, kept * size)


def _decode(graph: GraphBuilder, weights: dict[str, Floats], steps: str) -> None:
    """The recurrent cell over [M, 1, 128], and the probability of each of its outputs."""
    cell = {name: in_onnx_order(weights[f"decoder.rnn.{name}"]) for name in ("weight_ih", "weight_hh")}
    bias = np.concatenate([in_onnx_order(weights[f"decoder.rnn.{name}"]) for name in ("bias_ih", "bias_hh")])
    constants = [graph.constant(each[None]) for each in (cell["weight_ih"], cell["weight_hh"], bias)]
    outputs = ("states", "next_hidden", "next_cell")
    graph.add("LSTM", steps, *constants, "", "hidden", "cell", outputs=outputs, hidden_size=HIDDEN)
    states = graph.add("Relu", graph.add("Reshape", "states", graph.whole(-1, HIDDEN)))  # [M, 128]
    weight, bias = weights["decoder.decoder.2.weight"].reshape(HIDDEN, 1), weights["decoder.decoder.2.bias"]
    graph.dense(states, weight, bias.reshape(1), "Sigmoid", outputs=("probability",))


def in_onnx_order(gates: Floats) -> Floats:
    """PyTorch's gates (input, forget, cell, output) in the order of ONNX (input, output, forget, cell)."""
    given, forget, cell, output = np.split(gates, 4)
    return np.concatenate([given, output, forget, cell])


def _model(graph: GraphBuilder, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> onnx.ModelProto:
    def of(name: str, shape: Shape) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.INT64 if name == "rows" else TensorProto.FLOAT, shape)

    made = helper.make_graph(
        graph.nodes,
        "silero",
        [of(name, shape) for name, shape in inputs.items()],
        [of(name, shape) for name, shape in outputs.items()],
        graph.constants,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(made, opset_imports=[opset], ir_version=IR_VERSION, producer_name="metaser")
    onnx.checker.check_model(model, full_check=True)
    return model


def encoded_silence(weights: dict[str, Floats]) -> Floats:
    """[1, 128], the encoding of zeros."""
    session = onnxruntime.InferenceSession(build(weights).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": np.zeros((1, 5, HOP), np.float32)})[0]


def main() -> None:
    """Write the graph and its licence."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_detector", description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="silero-vad 6.2.3 from PyPI")
    with zipfile.ZipFile(parser.parse_args().wheel) as wheel:
        source, licence = wheel.read(SOURCE), wheel.read(LICENCE)
    if hashlib.sha256(source).hexdigest() != SOURCE_SHA256:
        parser.error(f"{SOURCE} differs from that of silero-vad 6.2.3")
    weights = read_weights(source)
    folder = shipped_folder() / "silero"
    folder.mkdir(exist_ok=True)
    replace_file(folder / "speech.onnx", build(weights, encoded_silence(weights)).SerializeToString(), mode=SHARED)
    replace_file(folder / "LICENSE", licence.rstrip() + b"\n", mode=SHARED)
    print(f"{folder / 'speech.onnx'}: {(folder / 'speech.onnx').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
