import type { InferContext } from '../graph/operator';
import type { Dimension } from '../graph/types';
import { intAttribute, intsAttribute, invalid, stringAttribute, unknownLength } from './inference';

/** Windows that slide over the spatial axes of [batch, channels, ...space]: shared by convolutions and pools. */

/** Lengths of the spatial axes after sliding a window over them. */
export function slidSpace(space: readonly Dimension[], kernel: readonly Dimension[], context: InferContext): readonly Dimension[] {
  const strides = intsAttribute(context, 'strides');
  const dilations = intsAttribute(context, 'dilations');
  const pads = intsAttribute(context, 'pads');
  const padding = stringAttribute(context, 'auto_pad', 'NOTSET');
  const roundUp = intAttribute(context, 'ceil_mode', 0) !== 0;
  return space.map((length, axis) => {
    const size = kernel[axis];
    const stride = strides?.[axis] ?? 1;
    if (typeof length === 'string' || typeof size !== 'number') return unknownLength(context, axis + 2);
    if (padding === 'SAME_UPPER' || padding === 'SAME_LOWER') return Math.ceil(length / stride);
    const before = padding === 'VALID' ? 0 : (pads?.[axis] ?? 0);
    const after = padding === 'VALID' ? 0 : (pads?.[axis + space.length] ?? 0);
    const window = (size - 1) * (dilations?.[axis] ?? 1) + 1;
    const steps = (length + before + after - window) / stride;
    if (steps < 0)
      throw invalid(`A window of ${window} does not fit axis ${axis + 2} of length ${length} with pads ${before} and ${after}.`);
    const count = (roundUp ? Math.ceil(steps) : Math.floor(steps)) + 1;
    // Ceil mode may not start a window beyond the input and its leading pad.
    return roundUp && (count - 1) * stride >= length + before ? count - 1 : count;
  });
}

/** How a window of known size slides along one spatial axis of known length. */
export interface SlidingAxis {
  readonly length: number;
  /** Positions in the window, before dilation. */
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
  /** Number of windows. */
  readonly steps: number;
}

/** Length covered by a window, with dilation. */
export const reachOf = ({ kernel, dilation }: Pick<SlidingAxis, 'kernel' | 'dilation'>): number => (kernel - 1) * dilation + 1;

/** The windows of a convolution or pool from its attributes, with `auto_pad` resolved. */
export function slidingAxes(
  node: Pick<InferContext, 'attributes'>,
  lengths: readonly number[],
  kernel: readonly number[],
  steps: readonly number[],
): readonly SlidingAxis[] {
  const padding = stringAttribute(node, 'auto_pad', 'NOTSET');
  const pads = padding === 'NOTSET' ? intsAttribute(node, 'pads') : undefined;
  return lengths.map((length, axis) => {
    const size = kernel[axis] as number;
    const stride = intsAttribute(node, 'strides')?.[axis] ?? 1;
    const dilation = intsAttribute(node, 'dilations')?.[axis] ?? 1;
    const count = steps[axis] as number;
    const common = { length, kernel: size, stride, dilation, steps: count };
    if (!padding.startsWith('SAME')) return { ...common, before: pads?.[axis] ?? 0, after: pads?.[axis + lengths.length] ?? 0 };
    const total = Math.max(0, (count - 1) * stride + reachOf(common) - length);
    const before = padding === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
    return { ...common, before, after: total - before };
  });
}
