"""Runs an ONNX model and its compressed copies in Python's ONNX Runtime on the same random inputs. Called by scripts/realModels.mjs.

python realModels.py ORIGINAL COPY...    prints one JSON object: {"run": true, "copies": [{"path", "difference", "kept"}]}
difference: norm of the change of an output divided by its norm (of at least 0.001 a value), the largest over outputs. kept: share of equal values of integer outputs.
"""
import json, sys
import numpy as np
import onnxruntime as ort

ort.set_default_logger_severity(4)
types = {'tensor(float)': np.float32, 'tensor(float16)': np.float16, 'tensor(double)': np.float64, 'tensor(int64)': np.int64,
         'tensor(int32)': np.int32, 'tensor(bool)': np.bool_, 'tensor(uint8)': np.uint8}


def session(path):
    # Without optimisations both sides compute what the files say; the product compares the other levels.
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 2
    return ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def feeds(model, length):
    random = np.random.default_rng(7)
    made = {}
    for value in model.get_inputs():
        # The state of a recurrent model is [layers, batch, size].
        single = value.name in ('state', 'h', 'c', 'h0')
        shape = [axis if isinstance(axis, int) and axis > 0 else 1 if index == 0 or single or 'batch' in str(axis).lower() else length
                 for index, axis in enumerate(value.shape)]
        dtype = types[value.type]
        if value.name == 'sr':
            made[value.name] = np.array(16000, dtype)
        elif value.name.endswith('lengths'):
            made[value.name] = np.full(shape, length, dtype)
        elif dtype == np.bool_ or 'mask' in value.name:
            made[value.name] = np.ones(shape, dtype)
        elif np.issubdtype(dtype, np.integer):
            made[value.name] = random.integers(1, 10, shape).astype(dtype)
        else:
            made[value.name] = random.standard_normal(shape).astype(dtype)
    return made


def runnable(model):
    for length in (16, 64, 32, 48, 96, 128, 320, 512, 576, 1000, 8000, 64000, 1):
        try:
            given = feeds(model, length)
            outputs = model.run(None, given)
        except Exception:  # a length that this model does not take
            continue
        if all(np.size(each) > 0 for each in outputs if isinstance(each, np.ndarray)):
            return given, outputs
    return None, None


def compare(before, after):
    difference, kept = 0.0, 1.0
    for a, b in zip(before, after):
        if not isinstance(a, np.ndarray) or a.shape != b.shape:
            return None, None
        if not np.issubdtype(a.dtype, np.floating):
            kept = min(kept, float(np.mean(a == b)))
            continue
        a, b = a.astype(np.float64), b.astype(np.float64)
        both = np.isfinite(a) & np.isfinite(b)
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return None, None
        # Probabilities of noise may all be next to nothing: an output counts as at least 0.001 a value.
        norm = max(np.linalg.norm(a[both]), 1e-3 * np.sqrt(a.size))
        difference = max(difference, float(np.linalg.norm((b - a)[both]) / norm))
    return difference, kept


original = session(sys.argv[1])
given, outputs = runnable(original)
if given is None:
    print(json.dumps({'run': False}))
    sys.exit()
copies = []
for path in sys.argv[2:]:
    difference, kept = compare(outputs, session(path).run(None, given))
    copies.append({'path': path, 'difference': difference, 'kept': kept})
print(json.dumps({'run': True, 'copies': copies}))
