import type { GraphBuilder } from '../../graph/builder';
import { int } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { WeightSource } from '../architecture';

/**
 * Weights as graph inputs under their names on disk, float32, [out, in]: a graph is compiled once and run with the weights of any block,
 * which the runtime reads in place. From about 64 rows on, this is as fast as constants.
 */
export function inputWeights(): WeightSource {
  const made = new Map<string, Value>();
  const weight = (build: GraphBuilder, name: string, shape: readonly number[]): Value => {
    const value = made.get(name) ?? build.input(name, { dtype: 'float32', shape });
    made.set(name, value);
    return value;
  };
  return {
    linear: (build, name, x, shape, biasName) => {
      const rows = build.op('Reshape', [x, build.int64([-1, shape.in])]);
      const bias = biasName === undefined ? undefined : weight(build, biasName, [shape.out]);
      const product = build.op('Gemm', [rows, weight(build, name, [shape.out, shape.in]), bias], { transB: int(1) });
      const leading = build.op('Shape', [x], { start: int(0), end: int(-1) });
      return build.op('Reshape', [product, build.op('Concat', [leading, build.int64([shape.out])], { axis: int(0) })]);
    },
    embedding: (build, name, ids, shape) => build.op('Gather', [weight(build, name, [shape.rows, shape.columns]), ids]),
    vector: (build, name, length) => weight(build, name, [length]),
  };
}
