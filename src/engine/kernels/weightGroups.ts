import { elementCount } from '../../protocol/dtypes';
import { int, ints } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';

/**
 * Layout of the groups of one weight tensor in a graph. A group is a run of consecutive entries of the tensor in canonical order ([out, in]
 * for linear layers); a graph may store the transpose, and numbers per group in a shape that broadcasts cheaply.
 */
export interface WeightGroups {
  /** Entries of a full group; the last group of a tensor may be shorter. */
  readonly size: number;
  readonly count: number;
  /** Entries of each group, in canonical order. */
  entriesOf(group: number): number;
  /**
   * Rows of the stored matrix that contain whole groups, if groups run along its columns: blocks of this many rows can be processed
   * separately.
   */
  readonly rows?: number;
  /** Shape of numbers per group in a graph. */
  readonly shape: readonly number[];
  /** Shape of `view`, over which numbers per group broadcast. */
  readonly viewShape: readonly number[];
  /** The stored tensor as groups. */
  view(build: GraphBuilder, held: Value): Value;
  /** Back to the stored shape. */
  unview(build: GraphBuilder, viewed: Value): Value;
  /** Reshapes numbers per group so that they broadcast over a view. */
  spread(build: GraphBuilder, perGroup: Value): Value;
  /** Sum of a view over each group. */
  sum(build: GraphBuilder, viewed: Value): Value;
  /** Reorders numbers per group from the graph's order to the canonical one, and back. */
  toCanonical(perGroup: Float32Array): Float32Array;
  fromCanonical(perGroup: Float32Array): Float32Array;
}

/** Canonical shape, the shape stored in the graph, and the entries per group (0: the whole tensor is one group). */
export interface GroupedWeight {
  readonly shape: readonly number[];
  readonly heldShape: readonly number[];
  readonly held: 'canonical' | 'transposed';
}

/** Chooses the layout: rows of a stored [in, out] matrix if groups are whole rows of it, otherwise runs of the flat tensor. */
export function weightGroups(weight: GroupedWeight, groupSize: number): WeightGroups {
  const entries = elementCount(weight.shape);
  const size = groupSize === 0 || groupSize >= entries ? Math.max(1, entries) : groupSize;
  const count = Math.max(1, Math.ceil(entries / size));
  const entriesOf = (group: number): number => Math.min(size, entries - group * size);
  const common = { size, count, entriesOf };
  if (count === 1) return { ...common, ...wholeTensor(weight.heldShape) };
  const [outputs = 1, inputs = 1] = weight.shape;
  if (weight.held === 'transposed' && inputs % size === 0) return { ...common, ...rowsOfHeld(inputs, outputs, size, weight.heldShape) };
  return { ...common, ...(entries % size === 0 ? fullRuns(weight, count, size) : raggedRuns(weight, entries, count, size)) };
}

type Layout = Omit<WeightGroups, 'size' | 'count' | 'entriesOf'>;

const sameOrder = {
  toCanonical: (perGroup: Float32Array): Float32Array => perGroup.slice(),
  fromCanonical: (perGroup: Float32Array): Float32Array => perGroup.slice(),
};

function wholeTensor(heldShape: readonly number[]): Layout {
  return {
    ...sameOrder,
    shape: [1],
    viewShape: heldShape,
    view: (_build, held) => held,
    unview: (_build, viewed) => viewed,
    spread: (_build, perGroup) => perGroup,
    sum: (build, viewed) => reshape(build, build.op('ReduceSum', [viewed], { keepdims: int(0) }), [1]),
  };
}

function rowsOfHeld(inputs: number, outputs: number, size: number, heldShape: readonly number[]): Layout {
  const perOutput = inputs / size;
  const reorder = (values: Float32Array, from: number, to: number): Float32Array => {
    const result = new Float32Array(values.length);
    for (let i = 0; i < from; i += 1) for (let j = 0; j < to; j += 1) result[j * from + i] = values[i * to + j] as number;
    return result;
  };
  const viewShape = [perOutput, size, outputs];
  return {
    rows: size,
    shape: [perOutput, 1, outputs],
    viewShape,
    view: (build, held) => reshape(build, held, viewShape),
    unview: (build, viewed) => reshape(build, viewed, heldShape),
    spread: (_build, perGroup) => perGroup,
    sum: (build, viewed) => build.op('ReduceSum', [viewed, build.int64([1])], { keepdims: int(1) }),
    toCanonical: (perGroup) => reorder(perGroup, perOutput, outputs),
    fromCanonical: (perGroup) => reorder(perGroup, outputs, perOutput),
  };
}

/** Stored tensor to the canonical one and back: a transpose if they differ. */
function orders({ held, shape, heldShape }: GroupedWeight): {
  flat(build: GraphBuilder, value: Value): Value;
  back(build: GraphBuilder, value: Value): Value;
} {
  const turn = (build: GraphBuilder, value: Value): Value =>
    held === 'transposed' ? build.op('Transpose', [value], { perm: ints([1, 0]) }) : value;
  return {
    flat: (build, value) => turn(build, value),
    back: (build, value) => (held === 'transposed' ? turn(build, reshape(build, value, shape)) : reshape(build, value, heldShape)),
  };
}

function fullRuns(weight: GroupedWeight, count: number, size: number): Layout {
  const { flat, back } = orders(weight);
  return {
    ...sameOrder,
    shape: [count, 1],
    viewShape: [count, size],
    view: (build, held) => reshape(build, flat(build, held), [count, size]),
    unview: back,
    spread: (_build, perGroup) => perGroup,
    sum: (build, viewed) => build.op('ReduceSum', [viewed, build.int64([1])], { keepdims: int(1) }),
  };
}

function raggedRuns(weight: GroupedWeight, entries: number, count: number, size: number): Layout {
  const { flat, back } = orders(weight);
  return {
    ...sameOrder,
    shape: [count, 1],
    viewShape: [entries],
    view: (build, held) => reshape(build, flat(build, held), [entries]),
    unview: back,
    spread: (build, perGroup) => {
      const repeated = reshape(build, build.op('Expand', [perGroup, build.int64([count, size])]), [count * size]);
      return build.op('Slice', [repeated, build.int64([0]), build.int64([entries]), build.int64([0])]);
    },
    sum: (build, viewed) => {
      const missing = build.float32(Array.from({ length: count * size - entries }, () => 0));
      const padded = reshape(build, build.op('Concat', [viewed, missing], { axis: int(0) }), [count, size]);
      return build.op('ReduceSum', [padded, build.int64([1])], { keepdims: int(1) });
    },
  };
}

function reshape(build: GraphBuilder, value: Value, shape: readonly number[]): Value {
  const now = value.type.shape;
  if (now?.length === shape.length && now.every((length, axis) => length === shape[axis])) return value;
  return build.op('Reshape', [value, build.int64(shape)]);
}
