import type * as ort from 'onnxruntime-node';
import type { DType } from '../../src/protocol/dtypes';
import { encodeModel } from '../../src/engine/formats/onnx/encodeModel';
import type { Graph } from '../../src/engine/graph/graph';
import { seededTensor } from './feeds';
import { plainOrt } from './ort';

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
    typeof model === 'string'
      ? await plainOrt.InferenceSession.create(model, settings)
      : await plainOrt.InferenceSession.create(model, settings);
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

/** As `seededTensor`, for plain onnxruntime-node. */
export function feedTensor(...given: Parameters<typeof seededTensor>): ort.Tensor {
  const { dtype, shape, data } = seededTensor(...given);
  return new plainOrt.Tensor(dtype as 'float32', data as Float32Array, shape);
}
