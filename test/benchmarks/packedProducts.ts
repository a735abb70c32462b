/**
 * ONNX Runtime's products with packed weights (MatMulNBits) against the same product with dequantised weights fed as an input, by width, accuracy level,
 * block and rows of activations: the figures behind `isSlowProduct`. Prints JSON. Each pair of figures is the best of rounds that alternate between the two
 * products, in milliseconds: [packed, float]. `dequantizedMillions` are millions of weights a second on one thread.
 * Usage: npm run bench packedProducts [-- --size 2048 --threads 1 --rows 128,1024 --bits 2,4,8 --blocks 32,128 --rounds 9]
 */
import { parseArgs } from 'node:util';
import { SeededRandom } from '../../src/common/random';
import { GraphBuilder, int } from '../../src/engine/graph/builder';
import { dequantizeBlocks } from '../../src/engine/kernels/host/dequantizeBlocks';
import type { PlaneWidth } from '../../src/engine/kernels/host/packBits';
import { operators } from '../../src/engine/ops';
import { createRuntime } from '../../src/engine/runtime/runtime';
import type { RuntimeTensor, Session } from '../../src/engine/runtime/types';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '2048' },
    threads: { type: 'string', default: '1' },
    rows: { type: 'string', default: '128,1024' },
    bits: { type: 'string', default: '2,4,8' },
    blocks: { type: 'string', default: '32,128' },
    rounds: { type: 'string', default: '9' },
  },
});
const numbers = (text: string): number[] => text.split(',').map(Number);
const size = Number(values.size);
const random = new SeededRandom(1);
const runtime = await createRuntime({ provider: 'cpu', threads: Number(values.threads) });

const signed = (rows: number): RuntimeTensor => ({
  dtype: 'float32',
  shape: [rows, size],
  data: Float32Array.from({ length: rows * size }, () => random.next() - 0.5),
});
const activations = new Map(numbers(values.rows).map((rows) => [rows, signed(rows)]));
const w = signed(size);

async function milliseconds(session: Session, feeds: Readonly<Record<string, RuntimeTensor>>): Promise<number> {
  const start = performance.now();
  await session.run(feeds);
  return performance.now() - start;
}

async function alternating(packed: Session): Promise<Record<string, readonly number[]>> {
  const times: Record<string, readonly number[]> = {};
  for (const [rows, x] of activations) {
    const best = [Infinity, Infinity];
    for (let round = 0; round < Number(values.rounds); round += 1) {
      best[0] = Math.min(best[0]!, await milliseconds(packed, { x }));
      best[1] = Math.min(best[1]!, await milliseconds(float, { x, w }));
    }
    times[`${rows} rows`] = best.map((time) => Number(time.toPrecision(3)));
  }
  return times;
}

const floatBuild = new GraphBuilder(operators, 'float');
const floatInputs = ['x', 'w'].map((name) => floatBuild.input(name, { dtype: 'float32', shape: [name === 'x' ? 'rows' : size, size] }));
floatBuild.output(floatBuild.op('FusedMatMul', floatInputs, { transB: int(1) }, { domain: 'com.microsoft' }));
const float = await runtime.createFromGraph(floatBuild.finish());

const products: Record<string, Record<string, readonly number[]>> = {};
const dequantizedMillions: Record<string, number> = {};
for (const bits of numbers(values.bits) as PlaneWidth[])
  for (const block of numbers(values.blocks)) {
    const blocks = Math.ceil(size / block);
    const codes = Uint8Array.from({ length: (size * blocks * block * bits) / 8 }, () => random.nextBelow(256));
    const scales = Float32Array.from({ length: size * blocks }, () => 0.01 + random.next() / 100);
    let best = Infinity;
    for (let round = 0; round < 4; round += 1) {
      const start = performance.now();
      dequantizeBlocks({ rows: size, columns: size, block, bits, codes, scales, zeros: undefined });
      best = Math.min(best, performance.now() - start);
    }
    dequantizedMillions[`${bits} bits, block ${block}`] = Math.round(size ** 2 / 1000 / best);
    for (const level of [1, 4]) {
      const build = new GraphBuilder(operators, 'packed');
      const x = build.input('x', { dtype: 'float32', shape: ['rows', size] });
      const stored = build.constant({ kind: 'inline', dtype: 'uint8', shape: [size, blocks, (block * bits) / 8], bytes: codes });
      const scale = build.constant({ kind: 'inline', dtype: 'float32', shape: [size, blocks], bytes: new Uint8Array(scales.buffer) });
      const attributes = { K: int(size), N: int(size), bits: int(bits), block_size: int(block), accuracy_level: int(level) };
      build.output(build.op('MatMulNBits', [x, stored, scale], attributes, { domain: 'com.microsoft' }));
      const packed = await runtime.createFromGraph(build.finish(), { keep: false });
      products[`${bits} bits, block ${block}, level ${level}`] = await alternating(packed);
      await packed.release();
    }
  }
console.log(JSON.stringify({ size, threads: Number(values.threads), products, dequantizedMillions }));
await runtime.dispose();
