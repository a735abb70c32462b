import { int, ints } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { blockTypes, decodeBlocks, encodeBlocks, gatherBlocks, unpackBlocks, type BlockStorage } from './blockStorage';
import { plainMatrixOnly, type MatrixForm, type MatrixLayout } from './matrixForm';
import { containerOf } from '../../kernels/host/packBits';
import { rowParts } from './selfUnpacking';

/** Codes in the narrowest container with whole bytes a group; bytes where a group is too short for that. */
function storageOf(layout: MatrixLayout): BlockStorage {
  const container = containerOf(layout.bits);
  return { container: (layout.groupSize * container) % 8 === 0 ? container : 8, block: layout.groupSize, scaleDType: layout.scaleDType };
}

/**
 * An embedding: rows are gathered packed and unpacked by look-up, so a token costs one row. Standard operators only. Where the matrix is
 * the output layer as well (tied weights) it is unpacked as a whole, which the runtime does once at load.
 */
export const embeddingRows: MatrixForm = {
  id: 'embedding-rows',
  opset: () => 21,
  refuse: (layout) => plainMatrixOnly('an embedding, which is read row by row', layout),
  encode: (matrix) => encodeBlocks(matrix, storageOf(matrix)),
  types: (layout) => blockTypes(layout, storageOf(layout)),
  // Widths that share a container differ in the zero point that the nodes subtract.
  traces: ({ bits, symmetric }) => (symmetric ? [{ piece: 'codes', op: 'Sub', constant: [2 ** (bits - 1)] }] : []),
  decode: (pieces, layout, codes) => decodeBlocks(pieces, layout, storageOf(layout), codes),
  gather: (build, stored, layout, ids) => gatherBlocks(build, stored, layout, storageOf(layout), ids),
  dense: (build, stored, layout) => {
    const parts = rowParts(layout).map(({ from, to }) => unpackBlocks(build, stored, layout, storageOf(layout), from, to));
    const rows = parts.length === 1 ? (parts[0] as Value) : build.op('Concat', parts, { axis: int(0) });
    return build.op('Transpose', [rows], { perm: ints([1, 0]) });
  },
  linear: (build, stored, layout, x) => {
    const outputs = rowParts(layout).map(({ from, to }) => {
      const rows = unpackBlocks(build, stored, layout, storageOf(layout), from, to);
      return build.op('MatMul', [x, build.op('Transpose', [rows], { perm: ints([1, 0]) })]);
    });
    return outputs.length === 1 ? (outputs[0] as Value) : build.op('Concat', outputs, { axis: int(-1) });
  },
};
