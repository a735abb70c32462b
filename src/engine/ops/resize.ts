import { int } from '../graph/builder';
import { divideProducts, formatShape, multiplyDimensions } from '../graph/shapes';
import type { Dimension } from '../graph/types';
import { defineOp } from './defineOp';
import { reshaped, staticShape, transposed } from './gradients';
import { constantInts, intAttribute, intsAttribute, invalid, stringAttribute, unknownLength } from './inference';
import { resizeGradient } from './resizeGradient';

/** Operators that change the resolution of images [batch, channels, height, width] and similar tensors. */

/** Lengths times `scales`, or as given by `sizes`. Inputs: x, region, scales, sizes. */
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
  gradient: resizeGradient,
});

/** Rearranges depth into blocks of space: [N, C, H, W] to [N, C / b^2, H b, W b]. */
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
  gradient: ({ build, node, inputs: [x], outputGradients: [dy] }) => {
    if (!x || !dy) return [];
    const block = intAttribute(node, 'blocksize', 1);
    if (stringAttribute(node, 'mode', 'DCR') === 'DCR') return [build.op('SpaceToDepth', [dy], { blocksize: int(block) })];
    const [n, c, h, w] = staticShape(x) as readonly [number, number, number, number];
    const apart = reshaped(build, dy, [n, c / (block * block), h, block, w, block]);
    return [reshaped(build, transposed(build, apart, [0, 1, 3, 5, 2, 4]), [n, c, h, w])];
  },
});

/** The inverse: [N, C, H, W] to [N, C b^2, H / b, W / b]. */
const spaceToDepth = defineOp({
  name: 'SpaceToDepth',
  inputs: 1,
  infer: ([x], context) => {
    const block = intAttribute(context, 'blocksize', 1);
    if (x.shape === undefined) return [x];
    const [n, c, h, w] = x.shape as readonly [Dimension, Dimension, Dimension, Dimension];
    const [rows, columns] = [divideProducts([h], [block]), divideProducts([w], [block])];
    if (rows === undefined || columns === undefined)
      throw invalid(`SpaceToDepth needs height and width divisible by ${block}, got ${formatShape(x.shape)}.`);
    return [{ dtype: x.dtype, shape: [n, multiplyDimensions([c, block * block]), rows, columns] }];
  },
  gradient: ({ build, node, outputGradients: [dy] }) => [
    dy && build.op('DepthToSpace', [dy], { blocksize: int(intAttribute(node, 'blocksize', 1)) }),
  ],
});

/** The operators of this file. */
export const resizeOperators = [resize, depthToSpace, spaceToDepth];
