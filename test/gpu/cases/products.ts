import { SeededRandom } from '../../../src/common/random';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops/index';
import type { Case } from '../placedRun';
import { normalTensor } from './normalTensor';

/** Products and convolutions with so many terms and results that operands of fewer bits than float32 has would show. */
export function longSums(): readonly Case[] {
  const one = (op: string, shapes: readonly (readonly number[])[]): Case => {
    const build = new GraphBuilder(operators, 'long_sum');
    const inputs = shapes.map((shape, index) => build.input(`x${index}`, { dtype: 'float32', shape }));
    build.output(build.op(op, inputs), 'y');
    const feeds = Object.fromEntries(shapes.map((shape, index) => [`x${index}`, normalTensor(shape, index + 1)]));
    return { name: `${op} of ${shapes.map((shape) => shape.join(' x ')).join(' and ')}`, graph: build.finish(), feeds };
  };
  return [
    one('MatMul', [
      [256, 512],
      [512, 256],
    ]),
    one('Gemm', [
      [64, 2048],
      [2048, 128],
    ]),
    one('Conv', [
      [2, 64, 24, 24],
      [32, 64, 3, 3],
    ]),
    one('ConvTranspose', [
      [2, 64, 12, 12],
      [64, 32, 3, 3],
    ]),
  ];
}

/** MatMulNBits with weights that are not zero, with and without zero points, for few and for many rows. */
export function quantizedProducts(): readonly Case[] {
  const [inner, columns, block] = [128, 24, 32];
  const blocks = inner / block;
  return [2, 4, 8].flatMap((bits) =>
    [1, 33].flatMap((rows) =>
      [false, true].map((zeroPoints) => {
        const build = new GraphBuilder(operators, 'quantized_product');
        const source = new SeededRandom(bits);
        const bytes = (count: number) => Uint8Array.from({ length: count }, () => source.nextBelow(256));
        const packed = (block * bits) / 8;
        const scales = Float32Array.from({ length: columns * blocks }, () => 0.01 + 0.02 * source.next());
        const inputs = [
          build.input('x', { dtype: 'float32', shape: [rows, inner] }),
          build.constant({ kind: 'inline', dtype: 'uint8', shape: [columns, blocks, packed], bytes: bytes(columns * blocks * packed) }),
          build.constant({ kind: 'inline', dtype: 'float32', shape: [columns, blocks], bytes: new Uint8Array(scales.buffer) }),
        ];
        if (zeroPoints) {
          const width = Math.ceil((blocks * bits) / 8);
          inputs.push(build.constant({ kind: 'inline', dtype: 'uint8', shape: [columns, width], bytes: bytes(columns * width) }));
        }
        const attributes = { K: int(inner), N: int(columns), bits: int(bits), block_size: int(block), accuracy_level: int(1) };
        build.output(build.op('MatMulNBits', inputs, attributes, { domain: 'com.microsoft' }), 'y');
        return {
          name: `MatMulNBits of ${bits} bits, ${rows} rows, ${zeroPoints ? 'with' : 'without'} zero points`,
          graph: build.finish(),
          feeds: { x: normalTensor([rows, inner]) },
        };
      }),
    ),
  );
}
