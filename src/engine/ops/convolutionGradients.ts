import { int, ints } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { GradientContext, GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { floatScalar, reshaped, staticShape, transposed } from './gradients';
import { intAttribute, intsAttribute, invalid, stringAttribute } from './inference';
import { castTo } from './gradients';
import { padded, sliced } from './placement';
import { reachOf, slidingAxes, type SlidingAxis } from './windows';

/** Gradients of convolutions with any number of spatial axes. */

/** The fixed properties of one convolution: x [batch, C, ...], w [M, C / groups, ...kernel], y [batch, M, ...]. */
interface Convolution {
  readonly groups: number;
  readonly axes: readonly SlidingAxis[];
}

/** dx is the transposed convolution of dy, dw a product of dy with the windows of x, db the sum of dy over all axes but the channels. */
export const convGradient: GradientRule = (context) => {
  const [dy] = context.outputGradients;
  return dy ? convolutionGradients(context, dy) : [];
};

function convolutionGradients({ build, node, inputs: [x, w, bias], needs }: GradientContext, dy: Value): readonly (Value | undefined)[] {
  if (!x || !w) return [];
  const convolution: Convolution = {
    groups: intAttribute(node, 'group', 1),
    axes: slidingAxes(node, staticShape(x).slice(2), staticShape(w).slice(2), staticShape(dy).slice(2)),
  };
  return [
    needs(0) ? inputGradient(build, dy, w, convolution) : undefined,
    needs(1) ? kernelGradient(build, x, dy, staticShape(w), convolution) : undefined,
    bias && needs(2) ? sumOfChannels(build, dy) : undefined,
  ];
}

/** Conv followed by an activation, with an optional addition before it: the gradient goes through the activation first. */
export const fusedConvGradient: GradientRule = (context) => {
  const { build, node, inputs, outputs, outputGradients, needs } = context;
  const [dy] = outputGradients;
  const [y] = outputs;
  const activation = stringAttribute(node, 'activation', '');
  if (!dy || !y) return [];
  if (activation !== '' && activation !== 'Relu')
    throw invalid(`its activation '${activation}' has no gradient rule. Use the model as exported, before ONNX Runtime optimised it`);
  const positive = activation === 'Relu' ? build.op('Greater', [y, floatScalar(build, 0, y.type.dtype)]) : undefined;
  const dz = positive ? build.op('Mul', [dy, castTo(build, positive, dy.type.dtype)]) : dy;
  const gradients = convolutionGradients(context, dz);
  return [gradients[0], gradients[1], gradients[2], inputs[3] && needs(3) ? dz : undefined];
};

/** The transpose: dx is the convolution of dy with the same weights, and dw has x and dy exchanged. */
export const convTransposeGradient: GradientRule = ({ build, node, inputs: [x, w, bias], outputGradients: [dy], needs }) => {
  if (!x || !w || !dy) return [];
  const convolution: Convolution = { groups: intAttribute(node, 'group', 1), axes: transposedAxes(node, x, w, dy) };
  return [
    needs(0) ? convolve(build, dy, w, convolution) : undefined,
    needs(1) ? kernelGradient(build, dy, x, staticShape(w), convolution) : undefined,
    bias && needs(2) ? sumOfChannels(build, dy) : undefined,
  ];
};

/** The windows over the result of a ConvTranspose, one per position of its input. */
function transposedAxes(node: GradientContext['node'], x: Value, w: Value, y: Value): readonly SlidingAxis[] {
  const [inputs, kernel, lengths] = [x, w, y].map((value) => staticShape(value).slice(2)) as [number[], number[], number[]];
  const padding = stringAttribute(node, 'auto_pad', 'NOTSET');
  const derived = padding.startsWith('SAME') || node.attributes['output_shape'] !== undefined;
  const pads = padding === 'NOTSET' ? intsAttribute(node, 'pads') : undefined;
  return lengths.map((length, axis) => {
    const stride = intsAttribute(node, 'strides')?.[axis] ?? 1;
    const dilation = intsAttribute(node, 'dilations')?.[axis] ?? 1;
    const steps = inputs[axis] as number;
    const size = kernel[axis] as number;
    const span = stride * (steps - 1) + reachOf({ kernel: size, dilation });
    const total = span + (intsAttribute(node, 'output_padding')?.[axis] ?? 0) - length;
    const before = !derived
      ? (pads?.[axis] ?? 0)
      : padding === 'SAME_UPPER'
        ? Math.floor(Math.max(0, total) / 2)
        : Math.ceil(Math.max(0, total) / 2);
    // Beyond the last window the result is padding: the windows end where the pads, which may be negative, place the end.
    return { length, kernel: size, stride, dilation, before, after: span - length - before, steps };
  });
}

/** Conv with explicit pads; negative ones cut the input first. */
function convolve(build: GraphBuilder, x: Value, w: Value, { groups, axes }: Convolution): Value {
  const cut = padded(build, x, [[0, 0], [0, 0], ...axes.map(({ before, after }) => [Math.min(0, before), Math.min(0, after)] as const)]);
  return build.op('Conv', [cut, w], {
    group: int(groups),
    strides: ints(axes.map(({ stride }) => stride)),
    dilations: ints(axes.map(({ dilation }) => dilation)),
    pads: ints([...axes.map(({ before }) => Math.max(0, before)), ...axes.map(({ after }) => Math.max(0, after))]),
  });
}

/**
 * dx: at stride 1, a Conv of dy with the kernel flipped and its channels exchanged (faster than ConvTranspose), otherwise a ConvTranspose
 * that also gives the positions after the last window.
 */
function inputGradient(build: GraphBuilder, dy: Value, w: Value, { groups, axes }: Convolution): Value {
  const turned = axes.map((axis): SlidingAxis => {
    const { kernel, dilation, length, steps, before } = axis;
    const first = reachOf(axis) - 1 - before;
    return { kernel, dilation, stride: 1, length: steps, steps: length, before: first, after: length + reachOf(axis) - 1 - steps - first };
  });
  if (axes.every(({ stride }) => stride === 1) && turned.every(({ before, after }) => before >= 0 && after >= 0)) {
    const kernel = staticShape(w);
    const [maps, perGroup, ...sizes] = kernel as readonly [number, number, ...number[]];
    const flipped = sliced(
      build,
      w,
      sizes.map((count, axis) => ({ axis: axis + 2, start: count - 1, count, step: -1 })),
    );
    const rest = sizes.map((_, axis) => axis + 3);
    const exchanged = transposed(build, reshaped(build, flipped, [groups, maps / groups, perGroup, ...sizes]), [0, 2, 1, ...rest]);
    return convolve(build, dy, reshaped(build, exchanged, [groups * perGroup, maps / groups, ...sizes]), { groups, axes: turned });
  }
  const behind = (axis: SlidingAxis): number => axis.length + axis.before - ((axis.steps - 1) * axis.stride + reachOf(axis));
  return build.op('ConvTranspose', [dy, w], {
    group: int(groups),
    strides: ints(axes.map(({ stride }) => stride)),
    dilations: ints(axes.map(({ dilation }) => dilation)),
    // Windows beyond the end are cut by pads; positions after the last window are added.
    pads: ints([...axes.map(({ before }) => before), ...axes.map((axis) => Math.max(0, -behind(axis)))]),
    output_padding: ints(axes.map((axis) => Math.max(0, behind(axis)))),
  });
}

/**
 * dw [M, C / groups, ...kernel]: for each kernel position, one product of dy [M, batch * steps] with the transposed values of x that it
 * covers [C, batch * steps]. A Conv with exchanged operands is slower.
 */
function kernelGradient(build: GraphBuilder, x: Value, dy: Value, shape: readonly number[], { groups, axes }: Convolution): Value {
  const channelsFirst = [1, 0, ...axes.map((_, axis) => axis + 2)];
  const [maps, perGroup, ...sizes] = shape as readonly [number, number, ...number[]];
  const places = staticShape(dy).reduce((product, length) => product * length, 1) / maps;
  const rows = (value: Value, channels: number): Value =>
    reshaped(build, value, groups === 1 ? [channels, places] : [groups, channels / groups, places]);
  const left = rows(transposed(build, dy, channelsFirst), maps);
  const source = padded(build, transposed(build, x, channelsFirst), [
    [0, 0],
    [0, 0],
    ...axes.map((axis): [number, number] => [axis.before, Math.max(0, endOf(axis) - axis.length - axis.before)]),
  ]);
  const parts = offsetsOf(sizes).map((offset) => {
    const met = sliced(
      build,
      source,
      axes.map(({ stride, dilation, steps }, axis) => ({
        axis: axis + 2,
        start: (offset[axis] as number) * dilation,
        count: steps,
        step: stride,
      })),
    );
    return timesTransposed(build, left, rows(met, groups * perGroup));
  });
  // Each part is [M, C / groups] (of all groups): the kernel positions become the last axis.
  const columns = parts.map((part) => reshaped(build, part, [maps, perGroup, 1]));
  const [only] = columns;
  return reshaped(build, only && columns.length === 1 ? only : build.op('Concat', columns, { axis: int(2) }), shape);
}

/** End of the last window, counted from the first padded position. */
const endOf = (axis: SlidingAxis): number => (axis.steps - 1) * axis.stride + reachOf(axis);

/** a b^T for matrices, or per group. */
function timesTransposed(build: GraphBuilder, a: Value, b: Value): Value {
  const shape = staticShape(b);
  if (shape.length === 2) return build.op('Gemm', [a, b], { transB: int(1) });
  const [groups, rows, places] = shape as readonly [number, number, number];
  const turned = rows === 1 ? reshaped(build, b, [groups, places, 1]) : build.op('Transpose', [b], { perm: ints([0, 2, 1]) });
  return build.op('MatMul', [a, turned]);
}

/** Every position of a kernel, row-major. */
function offsetsOf(sizes: readonly number[]): readonly (readonly number[])[] {
  return sizes.reduce<readonly (readonly number[])[]>(
    (offsets, size) => offsets.flatMap((offset) => Array.from({ length: size }, (_, at) => [...offset, at])),
    [[]],
  );
}

function sumOfChannels(build: GraphBuilder, dy: Value): Value {
  const axes = staticShape(dy).map((_, axis) => axis);
  return build.op('ReduceSum', [dy, build.int64(axes.filter((axis) => axis !== 1))], { keepdims: int(0) });
}
