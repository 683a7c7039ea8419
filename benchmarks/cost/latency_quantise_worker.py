"""Other int8 quantisers for Optimum's graph, each run in the environment of a peer.

`python latency_quantise_worker.py nncf GRAPH OUT.xml CLIPS.npz`: NNCF for OpenVINO, calibrated on clips.
`python latency_quantise_worker.py dynamic GRAPH OUT.onnx`: `quantize_dynamic` of ONNX Runtime, only for matrix
products: with its defaults it fails on XLS-R, because the weight of the positional convolution is not a constant there.
"""

from __future__ import annotations

import sys

import numpy as np


def nncf_int8(graph: str, out: str, clips: str) -> None:
    """Quantise weights and activations for OpenVINO, with scales from real clips."""
    import nncf
    import openvino as ov

    with np.load(clips) as loaded:
        samples = [loaded[name][None] for name in loaded.files]
    quantised = nncf.quantize(
        ov.Core().read_model(graph),
        nncf.Dataset(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
    )
    ov.save_model(quantised, out)


def dynamic_int8(graph: str, out: str) -> None:
    """Quantise weights in advance and activations at run time."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(graph, out, op_types_to_quantize=["MatMul"])


if __name__ == "__main__":
    if sys.argv[1] == "nncf":
        nncf_int8(*sys.argv[2:])
    else:
        dynamic_int8(*sys.argv[2:])
