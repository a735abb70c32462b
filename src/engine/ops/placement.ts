import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { floatScalar, staticShape } from './gradients';

/** Slicing tensors and placing parts into zeros: shared by the gradients of slices, pads and windows. */

/** A range of one axis: `count` positions from `start` with stride `step` (any integer but 0). */
export interface Stretch {
  readonly axis: number;
  readonly start: number;
  readonly count: number;
  readonly step: number;
}

/** The positions of the ranges, in one Slice; the value itself if they cover everything. Needs known shapes. */
export function sliced(build: GraphBuilder, value: Value, stretches: readonly Stretch[]): Value {
  const shape = staticShape(value);
  const used = stretches.filter(({ axis, start, count, step }) => start !== 0 || count !== shape[axis] || (step !== 1 && count !== 1));
  if (used.length === 0) return value;
  const end = ({ start, count, step }: Stretch): number => {
    const behind = start + (count - 1) * step + Math.sign(step);
    // A negative end counts from the back: only a number below every position means "down to the first".
    return behind < 0 ? -(2 ** 31) : behind;
  };
  return build.op('Slice', [
    value,
    build.int64(used.map(({ start }) => start)),
    build.int64(used.map(end)),
    build.int64(used.map(({ axis }) => axis)),
    build.int64(used.map(({ step }) => step)),
  ]);
}

/** Pads a tensor with zeros (or another value), in one Pad; negative counts crop. One pair [before, after] per axis. */
export function padded(build: GraphBuilder, value: Value, pads: readonly (readonly [number, number])[], fill = 0): Value {
  if (pads.every(([before, after]) => before === 0 && after === 0)) return value;
  const widths = build.int64([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]);
  return build.op('Pad', [value, widths, ...(fill === 0 ? [] : [floatScalar(build, fill, value.type.dtype)])]);
}

/** The reverse of a Slice: zeros of the given shape with the value at the positions of the ranges. */
export function unsliced(build: GraphBuilder, value: Value, stretches: readonly Stretch[], shape: readonly number[]): Value {
  const present = staticShape(value);
  const backwards = stretches.filter(({ step, count }) => step < 0 && count > 1);
  const forwards = sliced(
    build,
    value,
    backwards.map(({ axis, count }) => ({ axis, start: count - 1, count, step: -1 })),
  );
  const byAxis = new Map(stretches.map((stretch) => [stretch.axis, stretch]));
  const spread = stretches.some(({ step, count }) => Math.abs(step) > 1 && count > 1) ? spreadOut(build, forwards, byAxis) : forwards;
  return padded(
    build,
    spread,
    present.map((count, axis) => {
      const stretch = byAxis.get(axis);
      if (stretch === undefined) return [0, 0];
      const gap = count > 1 ? Math.abs(stretch.step) : 1;
      const first = Math.min(stretch.start, stretch.start + (count - 1) * stretch.step);
      return [first, (shape[axis] as number) - first - count * gap];
    }),
  );
}

/** Inserts |step| - 1 zeros after every position of the strided axes: by padding an extra axis of length 1 after each. */
function spreadOut(build: GraphBuilder, value: Value, byAxis: ReadonlyMap<number, Stretch>): Value {
  const shape = staticShape(value);
  const gaps = shape.map((count, axis) => (count > 1 ? Math.abs(byAxis.get(axis)?.step ?? 1) : 1));
  const apart = build.op('Reshape', [value, build.int64(shape.flatMap((count) => [count, 1]))]);
  const filled = padded(
    build,
    apart,
    gaps.flatMap((gap): (readonly [number, number])[] => [
      [0, 0],
      [0, gap - 1],
    ]),
  );
  return build.op('Reshape', [filled, build.int64(shape.map((count, axis) => count * (gaps[axis] as number)))]);
}

/**
 * How a result axis copies from an input axis, all known: `positions[i]` is the input position copied to result i. Split into runs that
 * ascend, descend or repeat; there are few for borders and reversals.
 */
export function runsOf(
  positions: readonly number[],
): readonly { readonly at: number; readonly count: number; readonly step: -1 | 0 | 1 }[] {
  const runs: { at: number; count: number; step: -1 | 0 | 1 }[] = [];
  let at = 0;
  while (at < positions.length) {
    const next = positions[at + 1];
    const difference = next === undefined ? 1 : next - (positions[at] as number);
    const step = difference === 1 || difference === -1 || difference === 0 ? difference : undefined;
    let count = 1;
    while (step !== undefined && at + count < positions.length && positions[at + count] === (positions[at + count - 1] as number) + step)
      count += 1;
    runs.push({ at, count, step: count === 1 || step === undefined ? 1 : step });
    at += count;
  }
  return runs;
}

/**
 * The gradient of copying positions along an axis (`runsOf`): each run of `gradient` returns to its positions, and the runs are added up.
 */
export function untaken(build: GraphBuilder, gradient: Value, axis: number, positions: readonly number[], length: number): Value {
  const shape = staticShape(gradient).map((old, index) => (index === axis ? length : old));
  const parts = runsOf(positions).map(({ at, count, step }) => {
    const first = positions[at] as number;
    const part = sliced(build, gradient, [{ axis, start: at, count, step: 1 }]);
    if (step === 0)
      return unsliced(build, build.op('ReduceSum', [part, build.int64([axis])]), [{ axis, start: first, count: 1, step: 1 }], shape);
    return unsliced(build, part, [{ axis, start: first, count, step }], shape);
  });
  return parts.reduce((sum, part) => build.op('Add', [sum, part]));
}
