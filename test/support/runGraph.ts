import * as ort from 'onnxruntime-node';
import type { DType } from '../../src/protocol/dtypes';
import { elementCount } from '../../src/protocol/dtypes';
import { SeededRandom } from '../../src/common/random';
import { encodeModel } from '../../src/engine/formats/onnx/encodeModel';
import type { Graph } from '../../src/engine/graph/graph';

/** What came out of a run, under ONNX Runtime's names of types made ours. */
export interface RunOutput {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number> | ArrayLike<bigint>;
}

/** Runs model bytes or a file with plain onnxruntime-node: no code of ours between. */
export async function runModel(
  model: Uint8Array | string,
  feeds: Readonly<Record<string, ort.Tensor>>,
  options: ort.InferenceSession.SessionOptions = {},
): Promise<Readonly<Record<string, RunOutput>>> {
  const settings: ort.InferenceSession.SessionOptions = { logSeverityLevel: 3, intraOpNumThreads: 1, ...options };
  const session =
    typeof model === 'string' ? await ort.InferenceSession.create(model, settings) : await ort.InferenceSession.create(model, settings);
  try {
    const results = await session.run(feeds);
    return Object.fromEntries(
      Object.entries(results).map(([name, tensor]) => [
        name,
        { dtype: tensor.type as DType, shape: [...tensor.dims], data: tensor.data as unknown as ArrayLike<number> },
      ]),
    );
  } finally {
    await session.release();
  }
}

/** Runs one of our graphs without optimisation. */
export function runGraph(graph: Graph, feeds: Readonly<Record<string, ort.Tensor>>): Promise<Readonly<Record<string, RunOutput>>> {
  return runModel(encodeModel(graph), feeds, { graphOptimizationLevel: 'disabled' });
}

/** A tensor to feed: given values, or seeded ones (floats from 0.1 to 0.9, whole numbers 0 and 1). */
export function feedTensor(dtype: DType, shape: readonly number[], values?: readonly number[], seed = 1): ort.Tensor {
  const random = new SeededRandom(seed);
  const count = elementCount(shape);
  const isFloat = dtype === 'float32' || dtype === 'float64';
  const numbers = values ?? Array.from({ length: count }, () => (isFloat ? 0.1 + 0.8 * random.next() : random.nextBelow(2)));
  const data =
    dtype === 'int64'
      ? BigInt64Array.from(numbers.map(BigInt))
      : dtype === 'int32'
        ? Int32Array.from(numbers)
        : dtype === 'int8'
          ? Int8Array.from(numbers)
          : dtype === 'uint8' || dtype === 'bool'
            ? Uint8Array.from(numbers)
            : dtype === 'float64'
              ? Float64Array.from(numbers)
              : Float32Array.from(numbers);
  return new ort.Tensor(dtype as 'float32', data as Float32Array, shape);
}
