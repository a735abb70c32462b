/**
 * Speed of the loops that every compressed weight passes through (widen, round, pack, unpack, in millions of weights a second), and of ONNX Runtime's
 * kernels for the stored forms against a float32 product (in milliseconds). Prints JSON: the best of several rounds on one thread.
 * Usage: npm run bench rounding
 */
import { SeededRandom } from '../../src/common/random';
import { matMulNBits } from '../../src/engine/outputs/storage/matMulNBits';
import { packPlane, unpackPlane, type PlaneWidth } from '../../src/engine/kernels/host/packBits';
import { dequantize } from '../../src/engine/outputs/planned/dequantize';
import { groupingOf } from '../../src/engine/compress/quantizers/parameters';
import { roundGroups } from '../../src/engine/compress/quantizers/rounding/roundGroups';
import { decodeToFloat32, encodeFromFloat32 } from '../../src/engine/formats/decode';
import { GraphBuilder, int } from '../../src/engine/graph/builder';
import { operators } from '../../src/engine/ops';
import { createRuntime } from '../../src/engine/runtime/runtime';

const size = 2048;
const rounds = 9;
const random = new SeededRandom(1);
const weights = Float32Array.from({ length: size * size }, () => random.nextNormal() * 0.02);

async function best(action: () => unknown): Promise<number> {
  let seconds = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    await action();
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return seconds;
}

const rate = async (action: () => unknown): Promise<number> => Math.round(weights.length / 1e6 / (await best(action)));
const matrixOf = (bits: number, codes?: Uint8Array) =>
  roundGroups('w', weights, size, size, {
    ...groupingOf(size, size, { groupSize: 32 }),
    bits,
    symmetric: false,
    scaleDType: 'float16',
    ...(codes === undefined ? {} : { codes }),
  });

const half = encodeFromFloat32('float16', weights);
const floats = new Float32Array(weights.length);
const codes = new Uint8Array(weights.length);
const matrix = matrixOf(4);
const millionsOfWeightsPerSecond: Record<string, number> = {
  widenFloat16: await rate(() => decodeToFloat32('float16', half, floats)),
  roundGroups: await rate(() => matrixOf(4, codes)),
  dequantize: await rate(() => dequantize(matrix, floats)),
};
for (const width of [1, 2, 4] as PlaneWidth[]) {
  const packed = packPlane(matrixOf(width).codes, { width, shift: 0 });
  const source = matrixOf(width).codes;
  millionsOfWeightsPerSecond[`pack${width}`] = await rate(() => packPlane(source, { width, shift: 0 }));
  millionsOfWeightsPerSecond[`unpack${width}`] = await rate(() => unpackPlane(packed, { width, shift: 0 }, codes.fill(0)));
}

const runtime = await createRuntime({ provider: 'cpu', threads: 1 });
const milliseconds: Record<string, Record<string, number>> = {};
for (const bits of [0, 2, 4, 8]) {
  for (const level of bits === 0 ? [0] : [1, 4]) {
    const build = new GraphBuilder(operators, 'kernel');
    const x = build.input('x', { dtype: 'float32', shape: ['rows', size] });
    if (bits === 0)
      build.output(
        build.op('MatMul', [
          x,
          build.constant({ kind: 'inline', dtype: 'float32', shape: [size, size], bytes: new Uint8Array(weights.buffer) }),
        ]),
      );
    else {
      const pieces = matMulNBits.encode(matrixOf(bits));
      const stored = Object.entries(pieces).map(([, { dtype, shape, bytes }]) =>
        dtype === 'float16'
          ? { kind: 'inline' as const, dtype: 'float32' as const, shape, bytes: new Uint8Array(decodeToFloat32(dtype, bytes).buffer) }
          : { kind: 'inline' as const, dtype, shape, bytes },
      );
      build.output(
        build.op(
          'MatMulNBits',
          [x, ...stored.map((data) => build.constant(data))],
          { K: int(size), N: int(size), bits: int(bits), block_size: int(32), accuracy_level: int(level) },
          { domain: 'com.microsoft' },
        ),
      );
    }
    const session = await runtime.createFromGraph(build.finish());
    const times: Record<string, number> = {};
    for (const rows of [1, 32, 256]) {
      const feeds = { x: { dtype: 'float32' as const, shape: [rows, size], data: new Float32Array(rows * size).fill(0.5) } };
      times[`${rows} rows`] = Number((1000 * (await best(() => session.run(feeds)))).toPrecision(3));
    }
    milliseconds[bits === 0 ? 'float32' : `${bits} bits, level ${level}`] = times;
    await session.release();
  }
}
console.log(JSON.stringify({ size, rounds, millionsOfWeightsPerSecond, milliseconds }, undefined, 2));
