import { expect } from 'vitest';
import { dequantizeBlocks } from '../../../src/engine/kernels/host/dequantizeBlocks';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops';
import { packedSample, type ZeroKind } from '../../support/packedMatrix';
import { test } from '../../support/fixtures';

// Blocks that fill their rows and blocks that do not, even and odd numbers of blocks, rows that are cut into several parts.
const shapes = [
  { rows: 5, columns: 64, block: 16 },
  { rows: 7, columns: 80, block: 16 },
  { rows: 3, columns: 90, block: 32 },
  { rows: 6, columns: 20, block: 128 },
  { rows: 600, columns: 300, block: 64 },
];
// The runtime has no kernel for 8 bits with float zero points.
const cases = ([2, 4, 8] as const).flatMap((bits) =>
  (['absent', 'packed', 'float'] as const)
    .filter((zeros) => !(bits === 8 && zeros === 'float'))
    .flatMap((zeros) => shapes.map((shape) => ({ bits, zeros, ...shape }))),
);

test.for(cases)(
  "$bits bits, $zeros zero points, $rows x $columns in blocks of $block: as the runtime's product with the identity",
  async ({ zeros, ...shape }, { runtime }) => {
    const sample = packedSample(shape, zeros satisfies ZeroKind);
    const values = dequantizeBlocks(sample);
    const { rows, columns, block, bits, codes, scales } = sample;
    // Every product but one is with zero, so the runtime's sums are the weights themselves.
    const identity = Float32Array.from({ length: columns * columns }, (_, index) => (index % (columns + 1) === 0 ? 1 : 0));
    const build = new GraphBuilder(operators, 'identity');
    const x = build.input('x', { dtype: 'float32', shape: [columns, columns] });
    const bytesOf = (array: Float32Array) => new Uint8Array(array.buffer);
    const blocks = Math.ceil(columns / block);
    const zeroData =
      sample.zeros instanceof Float32Array
        ? { kind: 'inline' as const, dtype: 'float32' as const, shape: [rows, blocks], bytes: bytesOf(sample.zeros) }
        : sample.zeros && { kind: 'inline' as const, dtype: 'uint8' as const, shape: [sample.zeros.length], bytes: sample.zeros };
    const stored = [
      build.constant({ kind: 'inline', dtype: 'uint8', shape: [rows, blocks, (block * bits) / 8], bytes: codes }),
      build.constant({ kind: 'inline', dtype: 'float32', shape: [rows * blocks], bytes: bytesOf(scales) }),
      zeroData && build.constant(zeroData),
    ];
    const attributes = { K: int(columns), N: int(rows), bits: int(bits), block_size: int(block), accuracy_level: int(1) };
    build.output(build.op('MatMulNBits', [x, ...stored], attributes, { domain: 'com.microsoft' }), 'y');
    const session = await runtime.createFromGraph(build.finish());
    const { y } = await session.run({ x: { dtype: 'float32', shape: [columns, columns], data: identity } });
    await session.release();
    const transposed = Float32Array.from({ length: rows * columns }, (_, index) =>
      Number(y!.data[(index % columns) * rows + Math.floor(index / columns)]!),
    );
    const expected = sample.values.flat();
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = (others: ArrayLike<number>) =>
      values.reduce((most, value, index) => Math.max(most, Math.abs(value - others[index]!)), 0);
    expect(difference(expected)).toBeLessThanOrEqual(largest * 2 ** -23);
    // Float zero points are subtracted before or after the product with the scale: two orders of rounding.
    expect(difference(transposed)).toBeLessThanOrEqual(zeros === 'float' ? largest * 2 ** -22 : 0);
  },
);
