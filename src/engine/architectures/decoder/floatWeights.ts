import type { Value } from '../../graph/graph';
import type { GraphBuilder } from '../../graph/builder';
import { ints } from '../../graph/builder';
import { LoomweightError } from '../../../protocol/errors';
import type { WeightSource } from '../architecture';

/**
 * Weights as float32 constants of the graph, in their order on disk ([out, in]) followed by a Transpose that the runtime folds at load. A
 * tied matrix is stored once. For tests, verification and small models.
 */
export function floatWeights(tensors: ReadonlyMap<string, Float32Array>): WeightSource {
  const made = new WeakMap<GraphBuilder, Map<string, Value>>();
  const constant = (build: GraphBuilder, name: string, shape: readonly number[]): Value => {
    const known = made.get(build) ?? new Map<string, Value>();
    made.set(build, known);
    const before = known.get(name);
    if (before) return before;
    const data = tensors.get(name);
    const count = shape.reduce((product, length) => product * length, 1);
    if (data?.length !== count)
      throw new LoomweightError(
        'malformed-file',
        `The model needs '${name}' with shape [${shape.join(', ')}]${data ? `, got ${data.length} values` : '; it is missing'}.`,
        { tensor: name, shape },
      );
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const value = build.constant({ kind: 'inline', dtype: 'float32', shape, bytes }, name);
    known.set(name, value);
    return value;
  };
  return {
    linear: (build, name, x, shape, biasName) => {
      const matrix = build.op('Transpose', [constant(build, name, [shape.out, shape.in])], { perm: ints([1, 0]) });
      const product = build.op('MatMul', [x, matrix]);
      return biasName === undefined ? product : build.op('Add', [product, constant(build, biasName, [shape.out])]);
    },
    embedding: (build, name, ids, shape) => build.op('Gather', [constant(build, name, [shape.rows, shape.columns]), ids]),
    vector: (build, name, length) => constant(build, name, [length]),
  };
}
