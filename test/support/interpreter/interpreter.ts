import type { Attributes, Graph, Value } from '../../../src/engine/graph/graph';
import type { ConstantData } from '../../../src/engine/graph/types';
import type { DType } from '../../../src/protocol/dtypes';
import { elementCount } from '../../../src/protocol/dtypes';
import { activationKernels } from './activations';
import { attentionKernels } from './attention';
import { elementwiseKernels } from './elementwise';
import { lossKernels } from './losses';
import { indexingKernels } from './indexing';
import { normalizationKernels } from './normalizations';
import { productKernels } from './products';
import { quantizationKernels } from './quantization';
import { reductionKernels } from './reductions';
import { shapeKernels } from './shapes';
import { resizeKernels } from './resizes';
import { sliceKernels } from './slices';
import { windowKernels } from './windows';

/** A tensor of the reference interpreter: every element type is held as float64 (bool as 0 and 1). */
export interface ReferenceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** What a reference kernel may look at besides its inputs. */
export interface ReferenceContext {
  readonly attributes: Attributes;
  /** Outputs that the node asks for. */
  readonly outputs: number;
}

/** The plainest possible implementation of an operator, in float64, written from the ONNX specification; speed does not count. */
export type ReferenceKernel = (inputs: readonly (ReferenceTensor | undefined)[], context: ReferenceContext) => readonly ReferenceTensor[];

/** Kernels by `domain:Name`; the standard domain is empty. A family has its own file here. */
const kernels: Readonly<Record<string, ReferenceKernel>> = {
  ...elementwiseKernels,
  ...activationKernels,
  ...productKernels,
  ...reductionKernels,
  ...normalizationKernels,
  ...lossKernels,
  ...quantizationKernels,
  ...shapeKernels,
  ...sliceKernels,
  ...windowKernels,
  ...indexingKernels,
  ...attentionKernels,
  ...resizeKernels,
};

/**
 * Runs a graph in float64 with plain loops: what gradients and the runtime are compared with.
 * Feeds are by input name. Results are by output name.
 */
export function interpret(graph: Graph, feeds: Readonly<Record<string, ReferenceTensor>>): Readonly<Record<string, ReferenceTensor>> {
  const values = new Map<Value, ReferenceTensor>();
  for (const [value, data] of graph.constants) values.set(value, constantTensor(data));
  for (const input of graph.inputs) {
    const fed = feeds[input.name];
    if (!fed) throw new Error(`Nothing is fed for '${input.name}'.`);
    values.set(input, fed);
  }
  for (const node of graph.nodes) {
    const kernel = kernels[`${node.domain}:${node.op}`];
    if (!kernel)
      throw new Error(`The reference interpreter has no kernel for ${node.domain}:${node.op}. Add one in test/support/interpreter.`);
    const inputs = node.inputs.map((input) => input && values.get(input));
    const results = kernel(inputs, { attributes: node.attributes, outputs: node.outputs.length });
    node.outputs.forEach((output, index) => {
      if (output) values.set(output, results[index] as ReferenceTensor);
    });
  }
  return Object.fromEntries(graph.outputs.map((output) => [output.name, values.get(output) as ReferenceTensor]));
}

/** Makes a tensor from numbers. */
export function referenceTensor(dtype: DType, shape: readonly number[], data: ArrayLike<number>): ReferenceTensor {
  if (data.length !== elementCount(shape))
    throw new Error(`Shape [${shape.join(', ')}] needs ${elementCount(shape)} values, got ${data.length}.`);
  return { dtype, shape, data: Float64Array.from(data) };
}

function constantTensor(data: ConstantData): ReferenceTensor {
  if (data.kind !== 'inline') throw new Error('The reference interpreter takes inline constants only.');
  const buffer = data.bytes.slice().buffer;
  const numbers: ArrayLike<number | bigint> =
    data.dtype === 'float32'
      ? new Float32Array(buffer)
      : data.dtype === 'float64'
        ? new Float64Array(buffer)
        : data.dtype === 'int64'
          ? new BigInt64Array(buffer)
          : data.dtype === 'int32'
            ? new Int32Array(buffer)
            : data.dtype === 'int8'
              ? new Int8Array(buffer)
              : new Uint8Array(buffer);
  return { dtype: data.dtype, shape: data.shape, data: Float64Array.from(numbers as ArrayLike<number>, Number) };
}
