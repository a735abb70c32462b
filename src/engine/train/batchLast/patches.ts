import { int } from '../../graph/builder';
import type { GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { filled, reshaped, staticShape, transposed } from '../../ops/gradients';
import type { PlaceTable } from './windows';

/**
 * Patches of values [channels, places, batch], gathered so that each channel under each tap is one row of a matrix. With the batch last a Gather copies whole runs of
 * memory, and the rows are in the order of weights [maps, channels, ...kernel] as they are stored.
 */

/** Patches of more bytes than this are made and used part after part. */
const mostPatchBytes = 2 ** 22;

/** `weights` [groups, maps, channels * taps], the last two of one group, times the patches of `source`, plus `bias` for each map: [all maps, places, batch]. */
export function weightsTimesPatches(build: GraphBuilder, weights: Value, source: Value, table: PlaceTable, bias?: Value): Value {
  const [groups, maps, rows] = staticShape(weights) as readonly [number, number, number];
  const [, , batch] = staticShape(source) as readonly [number, number, number];
  const parts = patchesOf(build, source, table).map(({ patches, count }) => {
    const product = groupedProduct(build, weights, reshaped(build, patches, [groups, rows, count * batch]), bias);
    return reshaped(build, product, [groups * maps, count, batch]);
  });
  return joined(build, parts);
}

/** `left` [maps, places, batch] times the transposed patches of `source`: [groups, maps, channels * taps], the last two of one group. */
export function timesTransposedPatches(build: GraphBuilder, left: Value, source: Value, table: PlaceTable, groups: number): Value {
  const [maps, places, batch] = staticShape(left) as readonly [number, number, number];
  const [channels] = staticShape(source) as readonly [number, number, number];
  const rows = (channels / groups) * table.taps.length;
  const products = patchesOf(build, source, table).map(({ patches, first, count }) => ({
    a: count === places ? left : build.op('Slice', [left, build.int64([first]), build.int64([first + count]), build.int64([1])]),
    b: patches,
    columns: count * batch,
  }));
  if (groups === 1) {
    // The patches on the left and the result turned: a quarter faster than the other way round.
    const sum = products.reduce<Value | undefined>((before, { a, b, columns }) => {
      const factors = [reshaped(build, b, [rows, columns]), reshaped(build, a, [maps, columns])];
      return build.op('Gemm', before ? [...factors, before] : factors, { transB: int(1) });
    }, undefined);
    // Three axes, or ONNX Runtime puts the turning back into the product.
    return transposed(build, reshaped(build, sum as Value, [1, rows, maps]), [0, 2, 1]);
  }
  return products
    .map(({ a, b, columns }) => {
      const turned = transposed(build, reshaped(build, b, [groups, rows, columns]), [0, 2, 1]);
      return build.op('MatMul', [reshaped(build, a, [groups, maps / groups, columns]), turned]);
    })
    .reduce((sum, part) => build.op('Add', [sum, part]));
}

/** `source` [channels, places, batch] at other places; `fill` where there is none. */
export function takenAt(build: GraphBuilder, source: Value, from: readonly number[], fill = 0): Value {
  const [, length] = staticShape(source) as readonly [number, number];
  return gathered(build, from.includes(-1) ? withFill(build, source, fill) : source, from, length);
}

/** Values put together along their places. */
export function joined(build: GraphBuilder, parts: readonly Value[]): Value {
  const [only] = parts;
  return only && parts.length === 1 ? only : build.op('Concat', parts, { axis: int(1) });
}

interface Patches {
  /** [channels, taps * count, batch]. */
  readonly patches: Value;
  /** The first of the result's places in this part, and their number. */
  readonly first: number;
  readonly count: number;
}

function patchesOf(build: GraphBuilder, source: Value, { from, places, taps }: PlaceTable): readonly Patches[] {
  const [channels, length, batch] = staticShape(source) as readonly [number, number, number];
  const bytes = channels * taps.length * places.length * batch * 4;
  const parts = Math.max(1, Math.min(places.length, Math.ceil(bytes / mostPatchBytes)));
  const bordered = from.some((tap) => tap.includes(-1)) ? withFill(build, source, 0) : source;
  return Array.from({ length: parts }, (_, part) => {
    const [first, next] = [part, part + 1].map((edge) => Math.floor((edge * places.length) / parts)) as [number, number];
    const wanted = from.flatMap((tap) => tap.slice(first, next));
    return { patches: gathered(build, bordered, wanted, length), first, count: next - first };
  });
}

/** Places of [channels, length or length + 1, batch]; -1 is the last one. */
function gathered(build: GraphBuilder, bordered: Value, from: readonly number[], length: number): Value {
  if (from.length === length && from.every((place, index) => place === index)) return bordered;
  return build.op('Gather', [bordered, build.int64(from.map((place) => (place < 0 ? length : place)))], { axis: int(1) });
}

/** One more place behind the others. */
function withFill(build: GraphBuilder, source: Value, fill: number): Value {
  const [channels, , batch] = staticShape(source) as readonly [number, number, number];
  return build.op('Concat', [source, filled(build, fill, [channels, 1, batch], source.type.dtype)], { axis: int(1) });
}

/** a b + bias for each group; `bias` has one value for each row of all groups. */
function groupedProduct(build: GraphBuilder, a: Value, b: Value, bias: Value | undefined): Value {
  const [groups, rows, inner] = staticShape(a) as readonly [number, number, number];
  if (groups === 1) {
    const factors = [reshaped(build, a, [rows, inner]), reshaped(build, b, staticShape(b).slice(1))];
    return build.op('Gemm', bias ? [...factors, reshaped(build, bias, [rows, 1])] : factors);
  }
  const product = build.op('MatMul', [a, b]);
  return bias ? build.op('Add', [product, reshaped(build, bias, [groups, rows, 1])]) : product;
}
