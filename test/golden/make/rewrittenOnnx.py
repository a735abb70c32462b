"""Makes small ONNX models whose weights are taken in every way that can be compressed, and the outputs that they have after rounding.

    python rewrittenOnnx.py ROOT

ROOT is the repository. Writes test/golden/formats/rewrittenOnnx.json: for each model its bytes, inputs, the names of the weights that are
compressed, and the outputs of ONNX Runtime (without optimisations) on the same model with those weights replaced by
    round_half_even(w / scale) * scale,  scale = 2 * max|w| / 255        (8 bits, symmetric, one scale for a tensor)
in float32, computed by numpy. No matrix view of a weight enters, so a wrong view or a wrong rewriting shows.

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
random = numpy.random.default_rng(20260101)
MS = "com.microsoft"


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op}_{outputs.split()[0]}", **attributes)


def weight(name, *shape, dtype=numpy.float32, scale=0.5):
    return numpy_helper.from_array((random.standard_normal(shape) * scale).astype(dtype), name)


def ints(name, values):
    return numpy_helper.from_array(numpy.array(values, numpy.int64), name)


def floats(*shape):
    return random.standard_normal(shape).astype(numpy.float32)


models = []


def add(title, nodes, weights, inputs, compressed, opset=17, outputs=("y",), settings=(), **more):
    declared = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), list(value.shape)) for name, value in inputs.items()]
    outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", declared, outs, list(weights))
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(MS, 1)] if any(each.domain == MS for each in nodes) else [])
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    models.append({"title": title, "model": model, "inputs": inputs, "compressed": compressed, "settings": dict(settings), **more})


def rounded(values):
    scale = numpy.float32(2 * numpy.abs(values).astype(numpy.float32).max() / numpy.float32(255))
    codes = numpy.clip(numpy.rint(values.astype(numpy.float32) / scale), -128, 127)
    return codes.astype(numpy.float32) * scale


def run(model, inputs):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, inputs)


x = {"x": floats(3, 8)}
add("a 1 x 1 convolution", [node("Conv", "x w", "y")], [weight("w", 5, 8, 1, 1)], {"x": floats(1, 8, 4, 4)}, ["w"])
add("a convolution along one axis", [node("Conv", "x w", "y", pads=[1, 1])], [weight("w", 5, 4, 3)], {"x": floats(2, 4, 9)}, ["w"])
add("transposed convolutions", [node("ConvTranspose", "x w", "t", strides=[2, 2]), node("ConvTranspose", "t v", "y", group=2)],
    [weight("w", 4, 6, 2, 2), weight("v", 6, 2, 3, 3)], {"x": floats(1, 4, 3, 3)}, ["w", "v"])
add("behind Transpose", [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t", "y")], [weight("w", 6, 8)], x, ["w"])
add("float16 behind Cast and Transpose", [node("Cast", "w", "c", to=1), node("Transpose", "c", "t"), node("MatMul", "x t", "y")],
    [weight("w", 6, 8, dtype=numpy.float16)], x, ["w"])
add("behind Identity and Reshape", [node("Identity", "w", "i"), node("Reshape", "i s", "r"), node("MatMul", "x r", "y")],
    [weight("w", 2, 4, 6), ints("s", [8, 6])], x, ["w"])
add("behind Squeeze and Unsqueeze", [node("Squeeze", "w a", "q"), node("Unsqueeze", "q b", "u"), node("MatMul", "x u", "y")],
    [weight("w", 8, 6, 1), ints("a", [2]), ints("b", [0])], x, ["w"])
add("Gemm behind Transpose", [node("Transpose", "w", "t"), node("Gemm", "x t b", "y", transB=1)], [weight("w", 8, 6), weight("b", 6)], x, ["w"])
add("a batched product", [node("MatMul", "x w", "y")], [weight("w", 2, 8, 5)], {"x": floats(2, 3, 8)}, ["w"])
add("a product with one matrix for a batch", [node("MatMul", "x w", "y")], [weight("w", 1, 8, 5)], {"x": floats(2, 3, 8)}, ["w"])
add("left-hand matrices", [node("MatMul", "w x", "t"), node("MatMul", "v t", "y")], [weight("w", 6, 3), weight("v", 2, 4, 6)], x, ["w", "v"])
add("Gemm of a left-hand matrix", [node("Gemm", "w x", "y", transA=1)], [weight("w", 3, 6)], x, ["w"])
add("one matrix in both orientations", [node("MatMul", "x w", "t"), node("Gemm", "t w", "y", transB=1)], [weight("w", 8, 8)], x, ["w"])
add("Einsum", [node("Einsum", "x w", "t", equation="bi,oi->bo"), node("Einsum", "t v", "y", equation="bi,ijk->bjk")],
    [weight("w", 6, 8), weight("v", 6, 2, 5)], x, ["w", "v"])
add("FusedMatMul", [helper.make_node("FusedMatMul", ["x", "w"], ["y"], name="f", domain=MS, transB=1)], [weight("w", 6, 8)], x, ["w"])
sequence = {"x": floats(4, 2, 5)}
for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    add(op, [node(op, "x w r b", "s", hidden_size=3, direction="bidirectional"), node("Identity", "s", "y")],
        [weight("w", 2, gates * 3, 5), weight("r", 2, gates * 3, 3), weight("b", 2, gates * 6)], sequence, ["w", "r"])
one = {"ids": numpy.array([[3, 0, 6], [1, 1, 5]], numpy.int64)}
add("an embedding", [node("Gather", "w ids", "y")], [weight("w", 7, 9)], one, ["w"], embeddings=True)
add("an embedding of one row, with a vector and a scalar of ids", [node("Gather", "w ids", "a"), node("Gather", "w one", "b"), node("Add", "a b", "y")],
    [weight("w", 7, 9), numpy_helper.from_array(numpy.array(-2, numpy.int64), "one")], {"ids": numpy.array([2, -1], numpy.int64)}, ["w"], embeddings=True)
add("a tied embedding", [node("Gather", "w ids", "e"), node("Transpose", "w", "t"), node("MatMul", "e t", "y")], [weight("w", 7, 9)], one, ["w"], embeddings=True)


def body(name, matrix, constant):
    inner = [weight("w_" + name, 8, 6)] if not constant else []
    nodes = [node("Constant", "", "w_" + name, value=weight("", 8, 6))] if constant else []
    nodes += [node("MatMul", f"x w_{name}", f"t_{name}"), node("MatMul", f"t_{name} {matrix}", f"o_{name}")]
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"o_{name}", TensorProto.FLOAT, None)], inner)


for chosen in (True, False):
    add(f"branches of If, {'then' if chosen else 'else'}",
        [helper.make_node("If", ["c"], ["y"], name="branch", then_branch=body("then", "shared", False), else_branch=body("else", "shared", True))],
        [weight("shared", 6, 4), numpy_helper.from_array(numpy.array(chosen), "c")], x,
        ["shared", "branch/then_branch/w_then", "branch/else_branch/w_else"])
step = helper.make_graph(
    [node("MatMul", "h w", "m"), node("Tanh", "m", "h_out"), node("Identity", "go", "go_out")], "step",
    [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
     helper.make_tensor_value_info("h", TensorProto.FLOAT, None)],
    [helper.make_tensor_value_info("go_out", TensorProto.BOOL, []), helper.make_tensor_value_info("h_out", TensorProto.FLOAT, None)],
    [weight("w", 8, 8)])
add("a body of Loop", [helper.make_node("Loop", ["n", "c", "x"], ["y"], name="loop", body=step)],
    [ints("n", 3), numpy_helper.from_array(numpy.array(True), "c")], x, ["loop/body/w"])
add("names that clash", [node("MatMul", "x w", "w.codes"), node("MatMul", "w.codes w.scales", "w.zeros"), node("Relu", "w.zeros", "w_weights"),
                         node("MatMul", "w_weights v", "y")],
    [weight("w", 8, 7), weight("w.scales", 7, 5), weight("v", 5, 2)], x, ["w", "w.scales", "v"])
add("nodes out of order", [node("MatMul", "t v", "y"), node("MatMul", "x w", "t")], [weight("w", 8, 6), weight("v", 6, 4)], x, ["w", "v"])
add("opset 9 with Clip, Slice and Softmax", [node("MatMul", "x w", "t"), node("Clip", "t", "c", min=-0.4, max=0.7),
                                             node("Slice", "c", "s", axes=[1], starts=[1], ends=[5]), node("Softmax", "s", "y")],
    [weight("w", 8, 6)], x, ["w"], opset=9)


def showing(name):
    """A branch that gives its weight away as well."""
    outs = [helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in (f"o_{name}", f"w_{name}")]
    return helper.make_graph([node("MatMul", f"x w_{name}", f"o_{name}")], name, [], outs, [weight("w_" + name, 8, 6)])


add("weights that are outputs of their branches stay",
    [helper.make_node("If", ["c"], ["t", "kept"], name="branch", then_branch=showing("then"), else_branch=showing("else")), node("MatMul", "t v", "y")],
    [weight("v", 6, 4), numpy_helper.from_array(numpy.array(True), "c")], x, ["v"], outputs=("y", "kept"))


def replace(model, names):
    left = set(names)

    def visit(graph, scope):
        for tensor in graph.initializer:
            if scope + tensor.name in left:
                left.discard(scope + tensor.name)
                tensor.CopyFrom(numpy_helper.from_array(rounded(numpy_helper.to_array(tensor)), tensor.name))
        for each in graph.node:
            for attribute in each.attribute:
                if each.op_type == "Constant" and scope + each.output[0] in left:
                    left.discard(scope + each.output[0])
                    attribute.t.CopyFrom(numpy_helper.from_array(rounded(numpy_helper.to_array(attribute.t)), ""))
                if attribute.HasField("g"):
                    visit(attribute.g, f"{scope}{each.name}/{attribute.name}/")

    visit(model.graph, "")
    assert not left, left
    return model


cases = []
for each in models:
    model = each["model"]
    data = base64.b64encode(model.SerializeToString()).decode()
    outputs = run(replace(model, each["compressed"]), each["inputs"])
    arrays = lambda values: [{"dtype": str(value.dtype), "shape": list(value.shape), "values": value.ravel().tolist()} for value in values]
    cases.append({"title": each["title"], "model": data, "compressed": each["compressed"], "embeddings": each.get("embeddings", False),
                  "inputs": dict(zip(each["inputs"], arrays(each["inputs"].values()))), "outputs": arrays(outputs)})
made = {"script": "test/golden/make/rewrittenOnnx.py", "numpy": numpy.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
(root / "test/golden/formats/rewrittenOnnx.json").write_text(json.dumps({"made": made, "cases": cases}) + "\n")
