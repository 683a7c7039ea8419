"""Operators that TensorRT's ONNX parser supports, with the element types of their data inputs.

Source: docs/operators.md of onnx/onnx-tensorrt for TensorRT 10.15: the rows marked as supported, with the types that an
encoder's graph can hold. Opset 20 is the newest that every TensorRT 10 supports (10.0: opsets 9 to 20; 10.15: 9 to 24),
so later operators, such as Attention, are left out here.
"""

from __future__ import annotations

from onnx import TensorProto

SOURCE = "onnx-tensorrt docs/operators.md, TensorRT 10.15"
OLDEST_OPSET, NEWEST_OPSET = 9, 20

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})
NUMBERS = FLOATS | {TensorProto.INT32, TensorProto.INT64}
ANY = NUMBERS | {TensorProto.BOOL}
BOOL = frozenset({TensorProto.BOOL})

_ROWS = {
    FLOATS: """
        Acos Acosh Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip Conv ConvTranspose Cos Cosh
        CumSum Einsum Elu Erf Exp Floor Gemm GlobalAveragePool GlobalMaxPool GroupNormalization HardSigmoid HardSwish
        Hardmax InstanceNormalization IsInf LayerNormalization LeakyRelu Log LogSoftmax LpNormalization MatMul MaxPool
        MeanVarianceNormalization Mish PRelu Reciprocal Resize Round Selu Sigmoid Sin Sinh Softmax Softplus Softsign
        Sqrt Tan Tanh ThresholdedRelu""",
    NUMBERS: """
        Abs Add ArgMax ArgMin DepthToSpace Div Equal Gelu Greater GreaterOrEqual IsNaN Less LessOrEqual Max Mean Min Mod
        Mul Neg Pad Pow Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
        ReduceSum ReduceSumSquare Relu ScatterElements ScatterND Shrink Sign SpaceToDepth Sub Sum TopK""",
    ANY: """
        Cast CastLike Concat Constant ConstantOfShape Expand EyeLike Flatten Gather GatherElements GatherND Identity
        OneHot Reshape ReverseSequence Shape Size Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where""",
    BOOL: "And Not Or Xor",
}

SUPPORTED = {operator: types for types, operators in _ROWS.items() for operator in operators.split()}
"""Operator -> element types of its data inputs."""

CONSTANT_INPUTS = {
    **dict.fromkeys(("Expand", "Reshape", "Squeeze", "Tile", "Unsqueeze"), (1,)),
    **{operator: (1,) for operator in SUPPORTED if operator.startswith("Reduce")},
    "CumSum": (1,),
    "OneHot": (1,),
    "Pad": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "TopK": (1,),
}
"""Operator -> inputs that must be known when the engine is built: shapes, axes and bounds."""

FP32_ONLY = ("LayerNormalization", "Softmax", "GroupNormalization", "InstanceNormalization")
"""Statistics and softmax overflow silently in float16."""
