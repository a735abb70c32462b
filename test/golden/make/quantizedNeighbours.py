"""Makes small ONNX models that are quantised already but for the weight of one product, and the outputs that they have after rounding it.

    python quantizedNeighbours.py ROOT

ROOT is the repository. Writes test/golden/formats/quantizedNeighbours.json: for each model its bytes, its input, and for widths and group sizes the outputs of
ONNX Runtime (without optimisations) on the same model with the weight replaced by
    round_half_even(w / scale) * scale,  scale = 2 * max|w| / (2 ** bits - 1)        (symmetric, one scale for each group of inputs of an output)
in float32, computed by numpy. Gemm has no bias: ONNX Runtime would round it to whole numbers at its default level.

Needs numpy, onnx 1.23, onnxruntime 1.31. Not run by the tests.
"""
import base64
import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

root = pathlib.Path(sys.argv[1])
random = numpy.random.default_rng(20261128)
INPUTS, OUTPUTS = 32, 8
x = random.standard_normal((4, INPUTS)).astype(numpy.float32)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op}_{outputs.split()[0]}", **attributes)


def model(product, zero, rounds_output, movement):
    weights = [
        numpy_helper.from_array((random.standard_normal((INPUTS, OUTPUTS)) * 0.2).astype(numpy.float32), "w"),
        numpy_helper.from_array(numpy.float32(0.02), "sx"), numpy_helper.from_array(zero, "zx"),
        numpy_helper.from_array(numpy.float32(0.05), "sy"), numpy_helper.from_array(zero, "zy"),
    ]
    weights += [numpy_helper.from_array(numpy.array(values, numpy.int64), name)
                for name, values in (("flat", [-1, INPUTS]), ("first", [0]), ("last", [3]), ("axis", [0]))]
    nodes = [node("QuantizeLinear", "x sx zx", "xq"), node("DequantizeLinear", "xq sx zx", "xd")]
    nodes += {"": [node("Identity", "xd", "a")], "Reshape": [node("Reshape", "xd flat", "a")], "Slice": [node("Slice", "xd first last axis", "a")]}[movement]
    result = "m" if rounds_output else "y"
    nodes.append(node("MatMul", "a w", result) if product == "MatMul" else node("Gemm", "a w", result))
    if rounds_output:
        nodes += [node("QuantizeLinear", "m sy zy", "mq"), node("DequantizeLinear", "mq sy zy", "y")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def rounded(values, bits, group):
    """Groups along the first axis: what an output sums over."""
    blocks = values.reshape(INPUTS // group, group, OUTPUTS)
    scale = (2 * numpy.abs(blocks).max(1, keepdims=True) / numpy.float32(2**bits - 1)).astype(numpy.float32)
    codes = numpy.clip(numpy.rint(blocks / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return (codes.astype(numpy.float32) * scale).reshape(values.shape)


def outputs(made, bits, group):
    copy = onnx.ModelProto()
    copy.CopyFrom(made)
    tensor = copy.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(rounded(numpy_helper.to_array(tensor), bits, group), "w"))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


cases = []
for product, zero, rounds_output, movement in (
    ("MatMul", numpy.uint8(128), True, ""), ("MatMul", numpy.int8(0), True, ""), ("MatMul", numpy.uint8(128), False, ""), ("MatMul", numpy.int8(0), False, ""),
    ("MatMul", numpy.uint8(128), False, "Reshape"), ("MatMul", numpy.uint8(128), True, "Slice"),
    ("Gemm", numpy.uint8(128), True, ""), ("Gemm", numpy.uint8(128), False, ""),
):
    made = model(product, zero, rounds_output, movement)
    title = f"{product} behind {movement + ' of ' if movement else ''}{zero.dtype} DequantizeLinear{', before QuantizeLinear' if rounds_output else ''}"
    results = [{"bits": bits, "groupSize": group, "values": outputs(made, bits, group).ravel().tolist()} for bits in (2, 4, 5, 8) for group in (16, INPUTS)]
    cases.append({"title": title, "model": base64.b64encode(made.SerializeToString()).decode(), "step": 0.05 if rounds_output else 0, "results": results})
made = {"script": "test/golden/make/quantizedNeighbours.py", "numpy": numpy.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
(root / "test/golden/formats/quantizedNeighbours.json").write_text(
    json.dumps({"made": made, "x": {"shape": list(x.shape), "values": x.ravel().tolist()}, "cases": cases}) + "\n")
