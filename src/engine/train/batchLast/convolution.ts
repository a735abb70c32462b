import { int } from '../../graph/builder';
import type { GraphBuilder } from '../../graph/builder';
import type { RegionGradient } from '../../graph/gradient';
import type { Value } from '../../graph/graph';
import { reshaped, staticShape, transposed } from '../../ops/gradients';
import type { SlidingAxis } from '../../ops/windows';
import { timesTransposedPatches, weightsTimesPatches } from './patches';
import { inOrder, spreadOverPlaces } from './spread';
import { inputPlaces, windowPlaces } from './windows';

/** How a kernel slides. */
export interface Convolution {
  readonly groups: number;
  readonly axes: readonly SlidingAxis[];
}

/** What it slides over: x [1, channels, ...space, batch], w [maps, channels / groups, ...kernel], bias [maps]. */
export interface ConvolutionInputs {
  readonly x: Value;
  readonly w: Value;
  readonly bias: Value | undefined;
}

/**
 * y [1, maps, ...steps, batch]: the weights times the patches of x. Backwards dw is dy times the same patches, which are gathered again, since that takes less time
 * than memory would be held; dx is the weights, turned, times patches of dy.
 */
export function convolution(
  build: GraphBuilder,
  { x, w, bias }: ConvolutionInputs,
  convolved: Convolution,
): { readonly output: Value; readonly region: RegionGradient } {
  const { groups, axes } = convolved;
  const [maps, perGroup, ...kernel] = staticShape(w) as readonly [number, number, ...number[]];
  const batch = staticShape(x).at(-1) as number;
  const table = inputPlaces(axes);
  const source = reshaped(build, x, [groups * perGroup, product(axes.map(({ length }) => length)), batch]);
  const weights = reshaped(build, w, [groups, maps / groups, perGroup * product(kernel)]);
  const made = weightsTimesPatches(build, weights, source, table, bias);
  const output = reshaped(build, made, [1, maps, ...axes.map(({ steps }) => steps), batch]);
  return {
    output,
    region: {
      output,
      inputs: [x, w, ...(bias ? [bias] : [])],
      gradient: (backward, gradient) => {
        const dy = reshaped(backward, gradient, staticShape(made));
        const dw = timesTransposedPatches(backward, dy, source, table, groups);
        const dx = inputGradient(backward, dy, w, convolved);
        return [
          reshaped(backward, dx, staticShape(x)),
          reshaped(backward, dw, staticShape(w)),
          ...(bias ? [backward.op('ReduceSum', [dy, backward.int64([1, 2])], { keepdims: int(0) })] : []),
        ];
      },
    },
  };
}

/** So many times fewer channels than maps make patches of dy cost more than sums over taps, which read and write each value three times. */
const channelsPerMap = 3;
/** Values for sums over taps are held whole. */
const mostValueBytes = 2 ** 25;

/** dx [channels, places, batch] from dy [maps, windows, batch]. */
function inputGradient(build: GraphBuilder, dy: Value, w: Value, { groups, axes }: Convolution): Value {
  const [maps, perGroup, ...kernel] = staticShape(w) as readonly [number, number, ...number[]];
  const taps = product(kernel);
  const [, windows, batch] = staticShape(dy) as readonly [number, number, number];
  const places = product(axes.map(({ length }) => length));
  const tables = windowPlaces(axes);
  const overlap = tables.some((table) => table.taps.length > 1);
  const isNarrow = channelsPerMap * groups * perGroup <= maps && groups * perGroup * taps * windows * batch * 4 <= mostValueBytes;
  if (!overlap || isNarrow) {
    // One product for all taps, and each place takes what is its, or adds it up: of few channels, this moves less than patches of dy would.
    const turned = transposed(build, reshaped(build, w, [groups, maps / groups, perGroup * taps]), [0, 2, 1]);
    const every = Array.from({ length: windows }, (_, window) => window);
    const values = weightsTimesPatches(build, turned, dy, { taps: [0], places: every, from: [every] });
    return spreadOverPlaces(build, reshaped(build, values, [groups * perGroup, taps * windows, batch]), tables, taps, places);
  }
  const turned = transposed(build, reshaped(build, w, [groups, maps / groups, perGroup, taps]), [0, 2, 1, 3]);
  const parts = tables.map((table) => {
    const used = table.taps.length === taps ? turned : build.op('Gather', [turned, build.int64(table.taps)], { axis: int(3) });
    return weightsTimesPatches(build, reshaped(build, used, [groups, perGroup, (maps / groups) * table.taps.length]), dy, table);
  });
  return inOrder(build, parts, tables, places);
}

const product = (lengths: readonly number[]): number => lengths.reduce((all, length) => all * length, 1);
