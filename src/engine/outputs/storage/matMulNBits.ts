import { fastKernelGroups, isFastGroup, isFastWidth } from '../../../common/fastKernels';
import { int } from '../../graph/builder';
import { groupsPerRow, plainMatrixOnly, type MatrixForm, type MatrixLayout } from './matrixForm';
import { blockTypes, decodeBlocks, encodeBlocks, gatherBlocks, type BlockStorage } from './blockStorage';
import type { PlaneWidth } from '../../kernels/host/packBits';
import { asFloat32 } from './scales';

/** For one scale a row: long blocks cost fewer repeated scales, and 2 bits run fastest at 128. */
const rowBlock = 128;

/** Block length of the operator: the group's, or any for rows with one scale. */
export function blockOf(layout: MatrixLayout): number {
  return groupsPerRow(layout) > 1 ? layout.groupSize : rowBlock;
}

function storageOf(layout: MatrixLayout): BlockStorage {
  return {
    container: layout.bits as PlaneWidth,
    block: blockOf(layout),
    scaleDType: layout.bits === 4 ? layout.scaleDType : 'float32',
  };
}

/**
 * MatMulNBits of the domain com.microsoft: 2, 4 and 8 bits, blocks of 16 to 256 along the inputs.
 *
 * Stored: `codes` uint8 [rows, blocks, block * bits / 8], lowest bits first, the last block filled up with zeros; `scales` [rows, blocks]
 * in their type, with a Cast to float32 that the runtime folds at load (2 and 8 bits: in float32, because without folding ONNX Runtime 1.30 computes
 * wrong results from scales that are not constant at accuracy level 4); `zeros` uint8 [rows, ceil(blocks * bits / 8)], absent for
 * symmetric codes, whose zero is 2^(bits-1). One scale a row or tensor is repeated for each block, which is exact.
 *
 * accuracy_level: 4 bits run with exact float32 activations. 2 and 8 bits have no fast exact kernel (10 to 19 times slower than float for
 * one token), so there activations are rounded to int8. Source: ONNX Runtime contrib operators, MatMulNBits.
 */
export const matMulNBits: MatrixForm = {
  id: 'matmul-nbits',

  opset: () => 21,

  refuse: (layout) => {
    const other = plainMatrixOnly('onnx-fast', layout);
    if (other) return other;
    if (!isFastWidth(layout.bits))
      return `onnx-fast has kernels for 2, 4 and 8 bits, not ${layout.bits}; use one of them, or the format onnx-packed`;
    if (groupsPerRow(layout) > 1 && !isFastGroup(layout.groupSize))
      return `onnx-fast has kernels for groups of ${fastKernelGroups.join(', ')} and whole rows, not ${layout.groupSize}; use one of them, or the format onnx-packed`;
    return undefined;
  },

  encode: (matrix) => encodeBlocks(matrix, storageOf(matrix)),

  types: (layout) => blockTypes(layout, storageOf(layout)),

  // No two layouts have pieces of the same types.
  traces: () => [],

  decode: (pieces, layout, codes) => decodeBlocks(pieces, layout, storageOf(layout), codes),

  gather: (build, stored, layout, ids) => gatherBlocks(build, stored, layout, storageOf(layout), ids),

  linear: (build, stored, layout, x) =>
    build.op(
      'MatMulNBits',
      [x, stored['codes'], asFloat32(build, stored['scales']!), stored['zeros']],
      {
        K: int(layout.columns),
        N: int(layout.rows),
        bits: int(layout.bits),
        block_size: int(blockOf(layout)),
        accuracy_level: int(layout.bits === 4 ? 1 : 4),
      },
      { domain: 'com.microsoft' },
    ),
};
