"""Makes the goldens of the file formats with the formats' own Python libraries.

Run: python test/golden/make/formats.py   (in an environment with numpy, ml_dtypes, safetensors, gguf)
Writes safetensors.json, blocks.json and npy.json (and gguf.json) in test/golden/formats. Every file says which script and which versions made it.
"""
import base64
import io
import json
import struct
from importlib.metadata import version
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import safetensors
from gguf import GGMLQuantizationType as Type

here = Path(__file__).parent.parent / "formats"
b64 = lambda data: base64.b64encode(bytes(data)).decode()
made = {"script": "test/golden/make/formats.py"} | {name: version(name) for name in ("numpy", "ml_dtypes", "safetensors", "gguf")}


def numbers(array):
    return [None if not np.isfinite(v) else float(v) for v in np.asarray(array, dtype=np.float64).reshape(-1)]


# safetensors: every type the library accepts; values by NumPy and ml_dtypes.
plain = {
    "BOOL": (np.bool_, "bool"), "U8": (np.uint8, "uint8"), "I8": (np.int8, "int8"), "U16": (np.uint16, "uint16"), "I16": (np.int16, "int16"),
    "U32": (np.uint32, "uint32"), "I32": (np.int32, "int32"), "U64": (np.uint64, "uint64"), "I64": (np.int64, "int64"),
    "F16": (np.float16, "float16"), "BF16": (ml_dtypes.bfloat16, "bfloat16"), "F32": (np.float32, "float32"), "F64": (np.float64, "float64"),
    "F8_E5M2": (ml_dtypes.float8_e5m2, "float8_e5m2"), "F8_E4M3": (ml_dtypes.float8_e4m3fn, "float8_e4m3fn"),
    "F8_E8M0": (ml_dtypes.float8_e8m0fnu, "float8_e8m0"),
    "F8_E5M2FNUZ": (ml_dtypes.float8_e5m2fnuz, "float8_e5m2fnuz"), "F8_E4M3FNUZ": (ml_dtypes.float8_e4m3fnuz, "float8_e4m3fnuz"),
}
random = np.random.default_rng(7)
cases = []
for name, (dtype, ours) in plain.items():
    width = np.dtype(dtype).itemsize
    raw = bytes(range(256)) if width == 1 and name != "BOOL" else bytes([0, 1, 1, 0, 1, 0]) if name == "BOOL" else random.bytes(12 * width)
    if name in ("U64", "I64"):
        raw = np.asarray([0, 1, 5, 2**24, 123456, 99, 7, 2**40, 3, 2, 1, 12], dtype=dtype).tobytes()
    values = np.frombuffer(raw, dtype=dtype)
    cases.append({"name": name, "dtype": ours, "shape": [2, len(values) // 2], "bytes": b64(raw), "values": numbers(values.astype(np.float32))})
# Types below a byte: codes by ml_dtypes, packed lowest bits first.
for name, dtype, ours, bits in (("F4", ml_dtypes.float4_e2m1fn, "float4_e2m1", 4), ("F6_E2M3", ml_dtypes.float6_e2m3fn, "float6_e2m3", 6), ("F6_E3M2", ml_dtypes.float6_e3m2fn, "float6_e3m2", 6)):
    codes = np.arange(2**bits, dtype=np.uint8)
    values = codes.view(dtype).astype(np.float32)
    packed = sum(int(code) << (i * bits) for i, code in enumerate(codes)).to_bytes(len(codes) * bits // 8, "little")
    cases.append({"name": name, "dtype": ours, "shape": [2, len(codes) // 2], "bytes": b64(packed), "values": numbers(values)})
cases.append({"name": "C64", "dtype": "complex64", "shape": [2, 1], "bytes": b64(random.bytes(16)), "values": None})

accepted, spec, refused, keep = [], {}, [], []
library_names = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32", "U64": "uint64", "I64": "int64",
                 "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn",
                 "F8_E8M0": "float8_e8m0fnu", "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F4": "float4_e2m1fn_x2", "C64": "complex64"}
for case in cases:
    if case["name"] not in library_names:
        refused.append(case["name"])
        continue
    shape = list(case["shape"])
    if case["name"] == "F4":
        shape[-1] //= 2  # the library counts bytes of two
    entry = {"dtype": library_names[case["name"]], "shape": shape, "data": np.frombuffer(base64.b64decode(case["bytes"]), dtype=np.uint8)}
    try:
        data = entry.pop("data")
        keep.append(data)
        one = safetensors.TensorSpec(**entry, data_ptr=data.ctypes.data, data_len=data.nbytes)
        safetensors.serialize({case["name"]: one})
        spec[case["name"]] = one
        accepted.append(case["name"])
    except Exception as error:
        refused.append(case["name"] + ": " + str(error)[:60])
file = safetensors.serialize(spec, {"format": "np", "note": "grüße"})
print("accepted", accepted, "refused", refused)
(here / "safetensors.json").write_text(json.dumps({"made": made, "file": b64(file), "accepted": accepted, "cases": cases}) + "\n")

# GGUF block types: blocks made and read back by gguf.quants.
blocks = []
weights = (random.standard_normal((3, 64)) * np.array([[0.02], [1.0], [30.0]])).astype(np.float32)
weights[0, :32] = 0
for kind, ours in ((Type.Q4_0, "q4_0"), (Type.Q4_1, "q4_1"), (Type.Q5_0, "q5_0"), (Type.Q5_1, "q5_1"), (Type.Q8_0, "q8_0"), (Type.BF16, "bfloat16"), (Type.F16, "float16")):
    packed = gguf.quants.quantize(weights, kind)
    back = gguf.quants.dequantize(packed, kind)
    blocks.append({"dtype": ours, "bytes": b64(packed.tobytes()), "values": numbers(back.astype(np.float32))})
(here / "blocks.json").write_text(json.dumps({"made": made, "shape": [3, 64], "cases": blocks}) + "\n")

# A whole GGUF file by the library's writer: metadata of every type, tensors of several.
path = here / "small.gguf"
writer = gguf.GGUFWriter(str(path), "llama")
writer.add_uint8("test.u8", 200); writer.add_int8("test.i8", -5); writer.add_uint16("test.u16", 60000); writer.add_int16("test.i16", -300)
writer.add_uint32("test.u32", 4000000000); writer.add_int32("test.i32", -70000); writer.add_float32("test.f32", 0.5); writer.add_bool("test.bool", True)
writer.add_string("test.text", "grüße"); writer.add_uint64("test.u64", 2**60); writer.add_int64("test.i64", -12); writer.add_float64("test.f64", 0.1)
writer.add_array("test.list", [1, 2, 3]); writer.add_array("test.words", ["a", "bc", ""])
writer.add_tensor("plain", np.arange(6, dtype=np.float32).reshape(2, 3))
writer.add_tensor("half", np.arange(8, dtype=np.float16).reshape(2, 2, 2))
writer.add_tensor("packed", gguf.quants.quantize(weights, Type.Q4_0), raw_dtype=Type.Q4_0)
writer.add_tensor("packed_k", np.zeros((2, 144), dtype=np.uint8), raw_dtype=Type.Q4_K)
writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
(here / "gguf.json").write_text(json.dumps({"made": made, "file": b64(path.read_bytes())}) + "\n")
path.unlink()

# .npy by numpy.save.
files = []
for dtype, ours in (("<f4", "float32"), ("<f2", "float16"), ("<f8", "float64"), ("<i8", "int64"), ("<i4", "int32"), ("|u1", "uint8"), ("|b1", "bool"), ("<u2", "uint16")):
    array = (np.arange(12) % 7).astype(dtype).reshape(3, 4)
    stream = io.BytesIO(); np.save(stream, array)
    files.append({"dtype": ours, "shape": [3, 4], "file": b64(stream.getvalue()), "values": numbers(array)})
for shape in ((), (5,), (0, 3)):
    array = np.ones(shape, dtype="<f4"); stream = io.BytesIO(); np.save(stream, array)
    files.append({"dtype": "float32", "shape": list(shape), "file": b64(stream.getvalue()), "values": numbers(array)})
for number in ((2, 0), (3, 0)):
    stream = io.BytesIO(); np.lib.format.write_array(stream, np.arange(3, dtype="<f4"), version=number)
    files.append({"dtype": "float32", "shape": [3], "file": b64(stream.getvalue()), "values": [0, 1, 2]})
refused = []
for array, code in ((np.asfortranarray(np.ones((2, 3), "<f4")), "fortran-order"), (np.ones(3, ">f4"), "big-endian"), (np.array(["ab"]), "unsupported-dtype")):
    stream = io.BytesIO(); np.save(stream, array)
    refused.append({"file": b64(stream.getvalue()), "diagnostic": code})
(here / "npy.json").write_text(json.dumps({"made": made, "files": files, "refused": refused}) + "\n")
