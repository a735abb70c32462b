import { LoomweightError } from '../../../protocol/errors';
import type { WeightSource } from '../../architectures/architecture';
import { int, ints, type GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { ConstantData } from '../../graph/types';
import { asFloat32 } from '../storage/scales';
import type { StoredTensor } from '../storage/storedTensor';

/** A weight as it was stored: compressed in a form, or as it was in the source. */
export type StoredWeight =
  | { readonly kind: 'plain'; readonly data: ConstantData }
  | {
      readonly kind: 'compressed';
      readonly stored: StoredTensor;
      readonly pieces: Readonly<Record<string, ConstantData>>;
    };

/** The runtime folds constants below 1 GiB; a larger result would be recomputed in every run. */
const foldLimit = 2 ** 30;

/**
 * Puts stored weights into a graph. Plain ones keep the type of the source behind a Cast to float32, which the runtime folds at load. A tied matrix
 * becomes one constant with two users.
 */
export class StoredWeights implements WeightSource {
  private readonly values = new Map<string, Readonly<Record<string, Value>>>();

  constructor(private readonly weights: ReadonlyMap<string, StoredWeight>) {}

  linear(build: GraphBuilder, name: string, x: Value, shape: { readonly out: number; readonly in: number }, biasName?: string): Value {
    const weight = this.find(name);
    const values = this.valuesOf(build, name, weight);
    const product = weight.kind === 'compressed' ? weight.stored.linear(build, values, x) : plainLinear(build, values['']!, x, shape);
    return biasName === undefined ? product : build.op('Add', [product, this.vector(build, biasName)]);
  }

  embedding(build: GraphBuilder, name: string, ids: Value): Value {
    const weight = this.find(name);
    const values = this.valuesOf(build, name, weight);
    if (weight.kind === 'plain') return asFloat32(build, build.op('Gather', [values[''], ids], { axis: int(0) }));
    if (weight.stored.gather) return weight.stored.gather(build, values, ids);
    throw new LoomweightError('internal', `The storage chosen for the embedding '${name}' cannot return single rows.`, { tensor: name });
  }

  vector(build: GraphBuilder, name: string): Value {
    const weight = this.find(name);
    const values = this.valuesOf(build, name, weight);
    if (weight.kind === 'plain') return asFloat32(build, values['']!);
    // Forms know matrices: a vector is one of a single column.
    if (weight.stored.matrix) return build.op('Reshape', [weight.stored.matrix(build, values), build.int64([-1])]);
    throw new LoomweightError('internal', `The storage chosen for the vector '${name}' supports matrix products only.`, { tensor: name });
  }

  private find(name: string): StoredWeight {
    const weight = this.weights.get(name);
    if (weight) return weight;
    throw new LoomweightError('malformed-file', `The model has no tensor '${name}', which its config requires.`, { tensor: name });
  }

  private valuesOf(build: GraphBuilder, name: string, weight: StoredWeight): Readonly<Record<string, Value>> {
    const known = this.values.get(name);
    if (known) return known;
    const values: Record<string, Value> = {};
    if (weight.kind === 'plain') values[''] = build.constant(weight.data, name);
    else for (const [piece, data] of Object.entries(weight.pieces)) values[piece] = build.constant(data, `${name}.${piece}`);
    this.values.set(name, values);
    return values;
  }
}

/** x W^T with W [out, in] in any float type; in parts of rows where the float32 matrix would be too large to fold. */
function plainLinear(build: GraphBuilder, weight: Value, x: Value, shape: { readonly out: number; readonly in: number }): Value {
  const most = Math.max(1, Math.ceil(foldLimit / (shape.in * 4)) - 1);
  const outputs: Value[] = [];
  for (let from = 0; from < shape.out; from += most) {
    const to = Math.min(from + most, shape.out);
    const rows = to - from === shape.out ? weight : build.op('Slice', [weight, build.int64([from]), build.int64([to]), build.int64([0])]);
    outputs.push(build.op('MatMul', [x, build.op('Transpose', [asFloat32(build, rows)], { perm: ints([1, 0]) })]));
  }
  return outputs.length === 1 ? (outputs[0] as Value) : build.op('Concat', outputs, { axis: int(-1) });
}
