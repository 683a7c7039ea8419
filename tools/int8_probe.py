"""Write the graph that checks whether integer products are exact: `python -m tools.int8_probe`.

One product of uint8 [M, K] with int8 weights [K, N] of the largest values. Kernels that add pairs of products in 16
bits overflow on them: 2 * 255 * 127 is above 32,767.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from metaser.runtime.providers.integer_products import COLUMNS, DEPTH, PROBE, extreme_weights
from metaser.runtime.system.files import SHARED, replace_file

OPSET, IR_VERSION = 21, 10


def probe_graph() -> onnx.ModelProto:
    """`a` uint8 [M, DEPTH] -> `product` int32 [M, COLUMNS]."""
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "weights", "", "zero"], ["product"], name="product")],
        "integer products",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, ["rows", DEPTH])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, ["rows", COLUMNS])],
        [numpy_helper.from_array(extreme_weights(), "weights"), numpy_helper.from_array(np.array(0, np.int8), "zero")],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, producer_name="metaser", opset_imports=opsets, ir_version=IR_VERSION)


def main() -> None:
    """Write the graph into the runtime's data."""
    replace_file(PROBE, probe_graph().SerializeToString(deterministic=True), mode=SHARED)


if __name__ == "__main__":
    main()
