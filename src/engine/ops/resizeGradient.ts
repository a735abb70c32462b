import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { GradientContext, GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { floatTensor, reshaped, staticShape } from './gradients';
import { floatAttribute, intAttribute, intsAttribute, invalid, normalizeAxis, stringAttribute } from './inference';
import { resizeMatrix, type Resampling, type ResizedAxis } from './interpolation';

/** Gradient of Resize: the transposed linear map, one axis at a time. */

/** Maximum number of elements of an axis matrix; a larger one would exceed what it resizes. */
const largestMatrix = 1 << 24;

/** Nearest neighbour with integer factors is a sum over blocks; everything else is one small matrix per axis. */
export const resizeGradient: GradientRule = (context) => {
  const { build, node } = context;
  const [x] = context.inputs;
  const [dy] = context.outputGradients;
  if (!x || !dy) return [];
  if (intAttribute(node, 'antialias', 0) !== 0) throw invalid('its attribute antialias has no gradient rule');
  const how = resamplingOf(context);
  const axes = resizedAxes(context, staticShape(x), staticShape(dy));
  const matrices = axes.map((axis) => {
    if (axis.from === axis.to && axis.scale === 1) return undefined;
    if (axis.from * axis.to > largestMatrix)
      throw invalid(`resizing an axis from ${axis.from} to ${axis.to} exceeds the length that its gradient rule supports`);
    const matrix = resizeMatrix(axis, how);
    if (matrix === undefined) throw invalid(`its coordinate_transformation_mode '${how.coordinates}' has no gradient rule`);
    return matrix;
  });
  const blocks = axes.map((axis, index) => (matrices[index] === undefined ? 1 : repeatsOf(matrices[index], axis)));
  if (blocks.every((block) => block !== undefined)) return [sumBlocks(build, dy, blocks)];
  return [
    axes.reduce((gradient, axis, index) => {
      const matrix = matrices[index];
      return matrix === undefined ? gradient : applyTransposed(build, gradient, index, axis, matrix);
    }, dy),
  ];
};

function resamplingOf({ node }: GradientContext): Resampling {
  const mode = stringAttribute(node, 'mode', 'nearest');
  if (mode !== 'nearest' && mode !== 'linear' && mode !== 'cubic') throw invalid(`its mode '${mode}' is unknown`);
  return {
    mode,
    coordinates: stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel'),
    rounding: stringAttribute(node, 'nearest_mode', 'round_prefer_floor'),
    cubicFactor: floatAttribute(node, 'cubic_coeff_a', -0.75),
    excludeOutside: intAttribute(node, 'exclude_outside', 0) !== 0,
  };
}

/** Lengths and scales of every axis. Sizes imply the quotient of the lengths; scales are used as given. */
function resizedAxes(context: GradientContext, from: readonly number[], to: readonly number[]): readonly ResizedAxis[] {
  const given = intsAttribute(context.node, 'axes')?.map((axis) => normalizeAxis(axis, from.length)) ?? from.map((_, axis) => axis);
  const scales = context.constantOf(2);
  const factors =
    scales?.kind === 'inline' && scales.dtype === 'float32' && scales.bytes.byteLength > 0
      ? new Float32Array(Uint8Array.from(scales.bytes).buffer)
      : undefined;
  if (factors === undefined && context.inputs[3] === undefined) throw invalid('its scales are computed at run time');
  return from.map((length, axis) => {
    const index = given.indexOf(axis);
    const result = to[axis] as number;
    return { from: length, to: result, scale: index < 0 ? 1 : (factors?.[index] ?? result / length) };
  });
}

/** The number of results to which each position is repeated, if it is the same for all and they are adjacent. */
function repeatsOf(matrix: readonly number[], { from, to }: ResizedAxis): number | undefined {
  const block = to / from;
  if (!Number.isInteger(block)) return undefined;
  return matrix.every((weight, at) => weight === (Math.floor(Math.floor(at / from) / block) === at % from ? 1 : 0)) ? block : undefined;
}

function sumBlocks(build: GraphBuilder, dy: Value, blocks: readonly number[]): Value {
  const shape = staticShape(dy);
  if (blocks.every((block) => block === 1)) return dy;
  const split = reshaped(
    build,
    dy,
    shape.flatMap((length, axis) => (blocks[axis] === 1 ? [length] : [length / (blocks[axis] as number), blocks[axis] as number])),
  );
  const axes = blocks.flatMap((block, axis) => (block === 1 ? [] : [axis + blocks.slice(0, axis + 1).filter((each) => each !== 1).length]));
  return build.op('ReduceSum', [split, build.int64(axes)], { keepdims: int(0) });
}

/** Multiplies one axis by the transposed matrix. */
function applyTransposed(build: GraphBuilder, value: Value, axis: number, { from, to }: ResizedAxis, matrix: readonly number[]): Value {
  const shape = staticShape(value);
  const count = (lengths: readonly number[]): number => lengths.reduce((product, length) => product * length, 1);
  const [outer, inner] = [count(shape.slice(0, axis)), count(shape.slice(axis + 1))];
  const result = shape.map((length, index) => (index === axis ? from : length));
  const dtype = value.type.dtype;
  if (inner === 1) {
    const product = build.op('MatMul', [reshaped(build, value, [outer, to]), floatTensor(build, matrix, [to, from], dtype)]);
    return reshaped(build, product, result);
  }
  const turned = Array.from({ length: from * to }, (_, at) => matrix[(at % to) * from + Math.floor(at / to)] as number);
  const product = build.op('MatMul', [floatTensor(build, turned, [from, to], dtype), reshaped(build, value, [outer, to, inner])]);
  return reshaped(build, product, result);
}
