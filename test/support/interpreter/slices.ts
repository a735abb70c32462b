import { elementCount } from '../../../src/protocol/dtypes';
import { axisOf, listOf, numberOf, textOf } from './attributes';
import { broadcastShape, positionIn } from './broadcast';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';
import { tensorOf, valueAt, withAxis } from './tensors';

const numbers = (input: ReferenceTensor | undefined): readonly number[] | undefined => input && [...input.data];

const sameElements = (x: ReferenceTensor, shape: readonly number[]): readonly ReferenceTensor[] => [
  { dtype: x.dtype, shape, data: x.data },
];

function axesOf(context: ReferenceContext, input: ReferenceTensor | undefined, rank: number): readonly number[] | undefined {
  return (listOf(context, 'axes') ?? numbers(input))?.map((axis) => axisOf(axis, rank));
}

const pad: ReferenceKernel = ([input, widths, fill, axesInput], context) => {
  const x = input as ReferenceTensor;
  const rank = x.shape.length;
  const axes = numbers(axesInput)?.map((axis) => axisOf(axis, rank)) ?? x.shape.map((_, axis) => axis);
  const pads = listOf(context, 'pads') ?? numbers(widths) ?? [];
  const before = x.shape.map((_, axis) => (axes.includes(axis) ? (pads[axes.indexOf(axis)] as number) : 0));
  const after = x.shape.map((_, axis) => (axes.includes(axis) ? (pads[axes.indexOf(axis) + axes.length] as number) : 0));
  const mode = textOf(context, 'mode', 'constant');
  const shape = x.shape.map((length, axis) => length + (before[axis] as number) + (after[axis] as number));
  return [
    tensorOf(x.dtype, shape, (indices) => {
      const places = indices.map((index, axis) => index - (before[axis] as number));
      const outside = places.some((place, axis) => place < 0 || place >= (x.shape[axis] as number));
      if (mode === 'constant') return outside ? (fill?.data[0] ?? 0) : valueAt(x, places);
      const inside = places.map((place, axis) => {
        const last = (x.shape[axis] as number) - 1;
        if (mode === 'edge') return Math.min(Math.max(place, 0), last);
        if (mode === 'wrap') return (place + 10 * (last + 1)) % (last + 1);
        let at = place;
        while (at < 0 || at > last) at = at < 0 ? -at : 2 * last - at;
        return at;
      });
      return valueAt(x, inside);
    }),
  ];
};

const slice: ReferenceKernel = ([input, startsInput, endsInput, axesInput, stepsInput], context) => {
  const x = input as ReferenceTensor;
  const starts = listOf(context, 'starts') ?? numbers(startsInput) ?? [];
  const ends = listOf(context, 'ends') ?? numbers(endsInput) ?? [];
  const axes = axesOf(context, axesInput, x.shape.length) ?? starts.map((_, axis) => axis);
  const steps = numbers(stepsInput) ?? starts.map(() => 1);
  // The places of every axis, as Python's range of a slice gives them.
  const places = x.shape.map((length, axis) => {
    const at = axes.indexOf(axis);
    const all = Array.from({ length }, (_, place) => place);
    if (at < 0) return all;
    const step = steps[at] as number;
    const fromBack = (value: number): number => (value < 0 ? value + length : value);
    const [start, end] = [fromBack(starts[at] as number), fromBack(ends[at] as number)];
    const taken: number[] = [];
    if (step > 0) for (let place = Math.max(0, start); place < Math.min(length, end); place += step) taken.push(place);
    else for (let place = Math.min(length - 1, start); place > Math.max(-1, end); place += step) taken.push(place);
    return taken;
  });
  return [
    tensorOf(
      x.dtype,
      places.map((taken) => taken.length),
      (indices) =>
        valueAt(
          x,
          indices.map((index, axis) => places[axis]?.[index] as number),
        ),
    ),
  ];
};

/** Moves blocks between depth and space: `split` says how the long channel is taken apart. */
const blocks =
  (toSpace: boolean): ReferenceKernel =>
  ([input], context) => {
    const x = input as ReferenceTensor;
    const b = numberOf(context, 'blocksize', 1);
    const [n, c, h, w] = x.shape as readonly [number, number, number, number];
    if (!toSpace)
      return [
        tensorOf(x.dtype, [n, c * b * b, h / b, w / b], ([at = 0, channel = 0, row = 0, column = 0]) => {
          const block = Math.floor(channel / c);
          return valueAt(x, [at, channel % c, row * b + Math.floor(block / b), column * b + (block % b)]);
        }),
      ];
    const depth = c / (b * b);
    const columnRowDepth = textOf(context, 'mode', 'DCR') === 'CRD';
    return [
      tensorOf(x.dtype, [n, depth, h * b, w * b], ([at = 0, channel = 0, row = 0, column = 0]) => {
        const block = (row % b) * b + (column % b);
        const from = columnRowDepth ? channel * b * b + block : block * depth + channel;
        return valueAt(x, [at, from, Math.floor(row / b), Math.floor(column / b)]);
      }),
    ];
  };

/** Reference kernels of operators that reorder, repeat, join, cut and pad. */
export const sliceKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':Transpose': ([x], context) => {
    const { dtype, shape } = x as ReferenceTensor;
    const order = listOf(context, 'perm')?.map((axis) => axisOf(axis, shape.length)) ?? shape.map((_, axis) => shape.length - 1 - axis);
    return [
      tensorOf(
        dtype,
        order.map((axis) => shape[axis] as number),
        (indices) =>
          valueAt(
            x as ReferenceTensor,
            shape.map((_, axis) => indices[order.indexOf(axis)] as number),
          ),
      ),
    ];
  },
  ':Flatten': ([input], context) => {
    const x = input as ReferenceTensor;
    const given = numberOf(context, 'axis', 1);
    const axis = given < 0 ? given + x.shape.length : given;
    return sameElements(x, [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))]);
  },
  ':Unsqueeze': ([input, axesInput], context) => {
    const x = input as ReferenceTensor;
    const count = (listOf(context, 'axes') ?? numbers(axesInput) ?? []).length;
    const axes = axesOf(context, axesInput, x.shape.length + count) ?? [];
    const rest = [...x.shape];
    return sameElements(
      x,
      Array.from({ length: x.shape.length + count }, (_, axis) => (axes.includes(axis) ? 1 : (rest.shift() as number))),
    );
  },
  ':Squeeze': ([input, axesInput], context) => {
    const x = input as ReferenceTensor;
    const axes = axesOf(context, axesInput, x.shape.length);
    return sameElements(
      x,
      x.shape.filter((length, axis) => (axes ? !axes.includes(axis) : length !== 1)),
    );
  },
  ':Expand': ([x, target]) => {
    const { dtype, shape, data } = x as ReferenceTensor;
    return [tensorOf(dtype, broadcastShape([shape, numbers(target) ?? []]), (indices) => data[positionIn(shape, indices)] as number)];
  },
  ':Tile': ([input, repeats]) => {
    const x = input as ReferenceTensor;
    return [
      tensorOf(
        x.dtype,
        x.shape.map((length, axis) => length * (repeats?.data[axis] as number)),
        (indices) =>
          valueAt(
            x,
            indices.map((index, axis) => index % (x.shape[axis] as number)),
          ),
      ),
    ];
  },
  ':Concat': (inputs, context) => {
    const parts = inputs as readonly ReferenceTensor[];
    const first = parts[0] as ReferenceTensor;
    const axis = axisOf(numberOf(context, 'axis', 1), first.shape.length);
    const whole = parts.reduce((sum, part) => sum + (part.shape[axis] as number), 0);
    return [
      tensorOf(
        first.dtype,
        first.shape.map((length, index) => (index === axis ? whole : length)),
        (indices) => {
          let at = indices[axis] as number;
          const part = parts.find((candidate) => {
            if (at < (candidate.shape[axis] as number)) return true;
            at -= candidate.shape[axis] as number;
            return false;
          });
          return valueAt(part as ReferenceTensor, withAxis(indices, axis, at));
        },
      ),
    ];
  },
  ':Split': ([input, lengthsInput], context) => {
    const x = input as ReferenceTensor;
    const axis = axisOf(numberOf(context, 'axis', 0), x.shape.length);
    const whole = x.shape[axis] as number;
    const count = numberOf(context, 'num_outputs', context.outputs);
    const size = Math.ceil(whole / count);
    const lengths =
      listOf(context, 'split') ??
      numbers(lengthsInput) ??
      Array.from({ length: count }, (_, part) => Math.max(0, Math.min(size, whole - part * size)));
    let start = 0;
    return lengths.map((length) => {
      const from = start;
      start += length;
      return tensorOf(
        x.dtype,
        x.shape.map((old, index) => (index === axis ? length : old)),
        (indices) => valueAt(x, withAxis(indices, axis, (indices[axis] as number) + from)),
      );
    });
  },
  ':Slice': slice,
  ':Pad': pad,
  ':Trilu': ([input, k], context) => {
    const x = input as ReferenceTensor;
    const upper = numberOf(context, 'upper', 1) !== 0;
    const diagonal = k?.data[0] ?? 0;
    return [
      tensorOf(x.dtype, x.shape, (indices) => {
        const [row, column] = indices.slice(-2) as [number, number];
        return (upper ? column - row >= diagonal : column - row <= diagonal) ? valueAt(x, indices) : 0;
      }),
    ];
  },
  ':DepthToSpace': blocks(true),
  ':SpaceToDepth': blocks(false),
};
