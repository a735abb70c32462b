import { int, ints } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { GradientContext, GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { filled, floatScalar, reshaped, staticShape } from './gradients';
import { floatTensor } from './gradients';
import { intAttribute, intsAttribute } from './inference';
import { padded } from './placement';
import { reachOf, slidingAxes, type SlidingAxis } from './windows';

/** Gradients of pools with any number of spatial axes. */

/** The windows of a pool node. */
function windowsOf({ node, inputs: [x], outputs: [y] }: GradientContext): readonly SlidingAxis[] {
  if (!x || !y) return [];
  return slidingAxes(node, staticShape(x).slice(2), intsAttribute(node, 'kernel_shape') ?? [], staticShape(y).slice(2));
}

const elements = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

/** Values added to zeros of the given shape at flat positions. */
function addAtPositions(build: GraphBuilder, values: Value, positions: Value, shape: readonly number[]): Value {
  const count = elements(staticShape(values));
  const flat = build.op(
    'ScatterElements',
    [filled(build, 0, [elements(shape)], values.type.dtype), reshaped(build, positions, [count]), reshaped(build, values, [count])],
    { axis: int(0), reduction: 'add' },
  );
  return reshaped(build, flat, shape);
}

/**
 * The gradient of each maximum goes to the position that it came from; windows may overlap. The positions are the node's second output; if
 * the node does not have it (or counts in column-major order), the pool is run again to get them.
 */
export const maxPoolGradient: GradientRule = ({ build, node, inputs: [x], outputs, outputGradients: [dy] }) => {
  if (!x || !dy) return [];
  const { storage_order: order, ...attributes } = node.attributes;
  const inColumns = order?.kind === 'int' && order.value !== 0;
  const places = inColumns ? undefined : outputs[1];
  const positions = places ?? (build.node('MaxPool', [x], attributes, { outputs: 2 })[1] as Value);
  return [addAtPositions(build, dy, positions, staticShape(x))];
};

/** One window over everything. Of several equal maxima, the first gets the gradient. */
export const globalMaxPoolGradient: GradientRule = ({ build, inputs: [x], outputGradients: [dy] }) => {
  if (!x || !dy) return [];
  const shape = staticShape(x);
  const [, positions] = build.node('MaxPool', [x], { kernel_shape: ints(shape.slice(2)) }, { outputs: 2 }) as [Value, Value];
  return [addAtPositions(build, dy, positions, shape)];
};

/** MaxUnpool copied values to positions: their gradients are gathered from there. */
export const maxUnpoolGradient: GradientRule = ({ build, inputs: [, positions], outputGradients: [dy] }) =>
  positions && dy ? [build.op('Gather', [reshaped(build, dy, [-1]), positions])] : [];

/** The mean distributes dy / count to every position that it averaged. */
export const averagePoolGradient: GradientRule = (context) => {
  const { build, node } = context;
  const [x] = context.inputs;
  const [dy] = context.outputGradients;
  if (!x || !dy) return [];
  const axes = windowsOf(context);
  const includePads = intAttribute(node, 'count_include_pad', 0) !== 0;
  const counts = axes.map((axis) => placesInWindows(axis, includePads));
  const share = build.op('Div', [dy, countTensor(build, counts, dy)]);
  return [spreadOverWindows(build, share, axes, staticShape(x))];
};

/**
 * The number of positions in each window of an axis that the mean counts: those of the input, or also those of its pads; never those added
 * by ceil mode.
 */
function placesInWindows(axis: SlidingAxis, includePads: boolean): readonly number[] {
  return Array.from({ length: axis.steps }, (_, step) => {
    const places = Array.from({ length: axis.kernel }, (_, at) => step * axis.stride + at * axis.dilation - axis.before);
    const from = includePads ? -axis.before : 0;
    const to = axis.length + (includePads ? axis.after : 0);
    return places.filter((place) => place >= from && place < to).length;
  });
}

/** The product of the axes' counts: one number if all windows have the same, otherwise a tensor [...steps]. */
function countTensor(build: GraphBuilder, counts: readonly (readonly number[])[], like: Value): Value {
  const products = counts.reduce<readonly number[]>((all, axis) => all.flatMap((product) => axis.map((count) => product * count)), [1]);
  const [first = 1] = products;
  if (products.every((product) => product === first)) return floatScalar(build, first, like.type.dtype);
  return floatTensor(
    build,
    products,
    counts.map((axis) => axis.length),
    like.type.dtype,
  );
}

/** Adds the value of each window to all input positions that it covers: the transpose of a sum over windows. */
function spreadOverWindows(build: GraphBuilder, value: Value, axes: readonly SlidingAxis[], shape: readonly number[]): Value {
  const [batch, channels] = shape as readonly [number, number];
  const apart = axes.every(({ stride, kernel, dilation }) => stride === kernel && dilation === 1);
  if (apart) {
    // Adjacent windows without overlap: every value is repeated, then pads and overhang are removed.
    const steps = staticShape(value).slice(2);
    const lone = reshaped(build, value, [batch, channels, ...steps.flatMap((count) => [count, 1])]);
    const wanted = axes.flatMap(({ steps: count, kernel }) => [count, kernel]);
    const repeated = build.op('Expand', [lone, build.int64([batch, channels, ...wanted])]);
    const whole = reshaped(build, repeated, [batch, channels, ...axes.map(({ steps: count, kernel }) => count * kernel)]);
    return padded(build, whole, [
      [0, 0],
      [0, 0],
      ...axes.map((axis): [number, number] => [-axis.before, axis.before + axis.length - axis.steps * axis.kernel]),
    ]);
  }
  const behind = (axis: SlidingAxis): number => axis.length + axis.before - ((axis.steps - 1) * axis.stride + reachOf(axis));
  const ones = filled(build, 1, [1, 1, ...axes.map(({ kernel }) => kernel)], value.type.dtype);
  const spread = build.op('ConvTranspose', [reshaped(build, value, [batch * channels, 1, ...staticShape(value).slice(2)]), ones], {
    strides: ints(axes.map(({ stride }) => stride)),
    dilations: ints(axes.map(({ dilation }) => dilation)),
    pads: ints([...axes.map(({ before }) => before), ...axes.map((axis) => Math.max(0, -behind(axis)))]),
    output_padding: ints(axes.map((axis) => Math.max(0, behind(axis)))),
  });
  return reshaped(build, spread, shape);
}

/** The mean of everything: dy / count everywhere. */
export const globalAveragePoolGradient: GradientRule = ({ build, inputs: [x], outputGradients: [dy] }) => {
  if (!x || !dy) return [];
  const shape = staticShape(x);
  const share = build.op('Div', [dy, floatScalar(build, elements(shape.slice(2)), dy.type.dtype)]);
  return [build.op('Expand', [share, build.int64(shape)])];
};

/** y = (sum |x|^p)^(1/p): dx = sign(x) |x|^(p-1) times the distributed dy y^(1-p); 0 if y is 0. */
export const lpPoolGradient: GradientRule = (context) => {
  const [x] = context.inputs;
  const axes = windowsOf(context);
  return x ? lpGradient(context, (value) => spreadOverWindows(context.build, value, axes, staticShape(x))) : [];
};

/** Like LpPool, with one window over everything. */
export const globalLpPoolGradient: GradientRule = (context) => lpGradient(context, (value) => value);

function lpGradient({ build, node, inputs: [x], outputs: [y], outputGradients: [dy] }: GradientContext, spread: (value: Value) => Value) {
  if (!x || !y || !dy) return [];
  const p = intAttribute(node, 'p', 2);
  const dtype = x.type.dtype;
  const power = (value: Value, exponent: number): Value =>
    exponent === 1 ? value : build.op('Pow', [value, floatScalar(build, exponent, dtype)]);
  if (p === 1) return [build.op('Mul', [build.op('Sign', [x]), spread(dy)])];
  const zero = floatScalar(build, 0, dtype);
  const safe = build.op('Where', [build.op('Equal', [y, zero]), floatScalar(build, 1, dtype), y]);
  const weights = spread(build.op('Div', [dy, power(safe, p - 1)]));
  const slope = p === 2 ? x : build.op('Mul', [build.op('Sign', [x]), power(build.op('Abs', [x]), p - 1)]);
  return [build.op('Mul', [slope, weights])];
}
