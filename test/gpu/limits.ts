import { GraphBuilder, int } from '../../src/engine/graph/builder';
import type { Graph, Value } from '../../src/engine/graph/graph';
import { operators } from '../../src/engine/ops/index';
import type { Runtime, RuntimeTensor } from '../../src/engine/runtime/types';
import { normalTensor } from './cases/normalTensor';

/** What a device does at most, through this runtime. */
export interface Limits {
  /** Of large float32 products, two operations for each multiply-add. */
  readonly operationsPerSecond: number;
  /** Read and written by an element-wise operator on a tensor larger than any cache. */
  readonly bytesPerSecond: number;
}

/** Measures both inside a Loop, so that nothing crosses to the host meanwhile. Sizes are for a card, or for a processor. */
export async function measureLimits(runtime: Runtime, short: boolean): Promise<Limits> {
  const size = short ? 192 : runtime.environment.provider === 'cuda' ? 4096 : 1024;
  const length = short ? 2 ** 18 : 2 ** 26;
  const [few, many] = short ? [2, 6] : [5, 25];
  const product = await secondsPerTrip(
    runtime,
    productLoop(size),
    { factor: normalTensor([size, size]), start: normalTensor([size, size], 2) },
    few,
    many,
  );
  const ones = (shape: readonly number[]): RuntimeTensor => ({
    dtype: 'float32',
    shape,
    data: new Float32Array(shape[0] as number).fill(1),
  });
  const pass = await secondsPerTrip(runtime, passLoop(length), { start: ones([length]) }, few, many);
  return { operationsPerSecond: (2 * size ** 3) / product, bytesPerSecond: (8 * length) / pass };
}

/** The difference of a long and a short Loop: what is the same for both, transfers above all, drops out. */
async function secondsPerTrip(
  runtime: Runtime,
  graph: Graph,
  feeds: Readonly<Record<string, RuntimeTensor>>,
  few: number,
  many: number,
): Promise<number> {
  const session = await runtime.createFromGraph(graph, { keep: false });
  const time = async (trips: number): Promise<number> => {
    let best = Infinity;
    for (let repeat = 0; repeat < 3; repeat += 1) {
      const began = performance.now();
      await session.run({ ...feeds, trips: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(trips)) } });
      best = Math.min(best, (performance.now() - began) / 1000);
    }
    return best;
  };
  try {
    await time(1);
    const short = await time(few);
    return Math.max(1e-9, (await time(many)) - short) / (many - few);
  } finally {
    await session.release();
  }
}

function productLoop(size: number): Graph {
  const build = new GraphBuilder(operators, 'products');
  const factor = build.input('factor', { dtype: 'float32', shape: [size, size] });
  return loop(build, [size, size], (body, x) => body.op('Mul', [body.op('MatMul', [x, factor]), body.float32(1 / Math.sqrt(size))]));
}

function passLoop(length: number): Graph {
  return loop(new GraphBuilder(operators, 'passes'), [length], (body, x) => body.op('Mul', [x, body.float32(0.999)]));
}

/** A Loop over `trips` that carries one tensor and gives the sum of its first values. */
function loop(build: GraphBuilder, shape: readonly number[], step: (body: GraphBuilder, x: Value) => Value): Graph {
  const trips = build.input('trips', { dtype: 'int64', shape: [] });
  const start = build.input('start', { dtype: 'float32', shape });
  const body = build.subgraph('trip');
  body.input('trip/index', { dtype: 'int64', shape: [] });
  const go = body.input('trip/go', { dtype: 'bool', shape: [] });
  const x = body.input('trip/x', { dtype: 'float32', shape });
  body.output(body.op('Identity', [go]));
  body.output(step(body, x));
  const [last] = build.node('Loop', [trips, undefined, start], { body: { kind: 'graph', value: body.finish() } }, { outputs: 1 });
  const first = build.op('Slice', [last as Value, build.int64([0]), build.int64([1]), build.int64([0])]);
  build.output(build.op('ReduceSum', [first], { keepdims: int(0) }), 'sum');
  return build.finish();
}
