import type { PackedProduct } from '../models/packedProducts';

/** The accuracy level that allows MatMulNBits to round activations to int8. */
const allowsInt8 = 4;

/** True if the product may round its activations to int8: it does where the runtime has such a kernel for the processor, the width and the block. */
export function mayRoundActivations({ accuracyLevel }: PackedProduct): boolean {
  return accuracyLevel === allowsInt8;
}

/** Blocks for which ONNX Runtime 1.30 has a good int8 kernel at 2 bits: it has none for 16 and 256, and that for 32 is slow. */
const fastTwoBitBlocks: readonly number[] = [64, 128];

/**
 * True for packed products that on many rows are slower than the float product of the same weights, whatever the size of the matrix. Time of the packed product
 * relative to the float one (`npm run bench packedProducts`, 512 to 2,048 inputs and outputs, one and two threads):
 *
 *                              128 rows     1,024 rows
 *   2 bits, exact              2.0 to 3.0   1.03 to 1.36   slow
 *   2 bits, int8, block 32     1.8 to 2.7   2.5 to 2.7     slow
 *   2 bits, int8, block 64     0.9 to 1.3   1.03 to 1.36   near float: runs as stored
 *   2 bits, int8, block 128    0.7 to 1.2   0.7 to 1.2     runs as stored
 *   2 bits, int8, 16 or 256    1.8 to 2.6   1.14 to 1.26   runs the exact kernel: slow
 *   4 bits, exact              0.9 to 1.1   0.7 to 0.9     runs as stored
 *   4 bits, int8               0.7 to 1.2   0.7 to 1.15    runs as stored
 *   8 bits, exact              1.6 to 3.0   1.07 to 1.34   slow
 *   8 bits, int8               0.7 to 1.2   0.6 to 1.3     runs as stored
 *
 * A fixed rule, not a measurement at run time: the value that an evaluation gives must not depend on how fast a machine was in that moment.
 */
export function isSlowProduct(product: PackedProduct): boolean {
  const { bits, block } = product;
  if (bits === 2) return !(mayRoundActivations(product) && fastTwoBitBlocks.includes(block));
  return bits === 8 && !mayRoundActivations(product);
}
