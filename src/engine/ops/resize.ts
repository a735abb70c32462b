import { divideProducts, formatShape, multiplyDimensions } from '../graph/shapes';
import type { Dimension } from '../graph/types';
import { defineOp } from './defineOp';
import { constantInts, intAttribute, intsAttribute, invalid, unknownLength } from './inference';

/** Operators that change the resolution of images [batch, channels, height, width] and the like. */

/** Lengths times `scales`, or as `sizes` says. Inputs: x, region, scales, sizes. */
const resize = defineOp({
  name: 'Resize',
  inputs: 1,
  maxInputs: 4,
  infer: ([x], context) => {
    if (x.shape === undefined) return [x];
    const sizes = constantInts(context, 3);
    const axes = intsAttribute(context, 'axes') ?? x.shape.map((_, axis) => axis);
    const scales = context.constantOf(2);
    const factors =
      scales?.kind === 'inline' && scales.dtype === 'float32' && scales.bytes.byteLength > 0
        ? new Float32Array(Uint8Array.from(scales.bytes).buffer)
        : undefined;
    const shape = x.shape.map((length, axis): Dimension => {
      const index = axes.indexOf(axis);
      if (index < 0) return length;
      const factor = factors?.[index];
      if (sizes !== undefined) return sizes[index] ?? unknownLength(context, axis);
      return typeof length === 'number' && factor !== undefined ? Math.floor(length * factor) : unknownLength(context, axis);
    });
    return [{ dtype: x.dtype, shape }];
  },
});

/** Moves blocks of depth into space: [N, C, H, W] to [N, C / b^2, H b, W b]. */
const depthToSpace = defineOp({
  name: 'DepthToSpace',
  inputs: 1,
  infer: ([x], context) => {
    const block = intAttribute(context, 'blocksize', 1);
    if (x.shape === undefined) return [x];
    const [n, c, h, w] = x.shape as readonly [Dimension, Dimension, Dimension, Dimension];
    const channels = divideProducts([c], [block * block]);
    if (channels === undefined) throw invalid(`DepthToSpace needs channels divisible by ${block * block}, got ${formatShape(x.shape)}.`);
    return [{ dtype: x.dtype, shape: [n, channels, multiplyDimensions([h, block]), multiplyDimensions([w, block])] }];
  },
});

/** All of them. */
export const resizeOperators = [resize, depthToSpace];
