import { SeededRandom } from '../../common/random';
import { LoomweightError } from '../../protocol/errors';
import { encodeModel } from '../formats/onnx/encodeModel';
import type { Graph, Node, Value } from '../graph/graph';
import type { Ort } from './loadOrt';
import { createSession } from './session';
import type { Provider } from './session';
import type { RuntimeTensor } from './types';

/** Rows, width and length of a chain of matrix products. */
export interface ProbeSize {
  readonly rows: number;
  readonly width: number;
  readonly layers: number;
}

/** Only to check whether it works. */
const tiny: ProbeSize = { rows: 4, width: 32, layers: 1 };
/** 0.03 GFLOP: enough to distinguish a GPU from a software driver, which needs seconds for the large one. */
export const smallProbe: ProbeSize = { rows: 64, width: 512, layers: 1 };
/** 4.3 GFLOP, about 15 ms on two cores. */
export const largeProbe: ProbeSize = { rows: 256, width: 1024, layers: 8 };

/** Time and result of the probe on one provider. */
export interface ProbeResult {
  readonly milliseconds: number;
  readonly output: Float32Array;
}

/** A chain of MatMul nodes that all multiply by the same input matrix: y = x W W ... W. */
function probeGraph(size: ProbeSize): Graph {
  const matrix = (name: string, height: number): Value => ({ name, type: { dtype: 'float32', shape: [height, size.width] } });
  const x = matrix('x', size.rows);
  const weight = matrix('w', size.width);
  const nodes: Node[] = [];
  let last = x;
  for (let layer = 0; layer < size.layers; layer += 1) {
    const output = matrix(layer === size.layers - 1 ? 'y' : `y${layer}`, size.rows);
    nodes.push({ name: `product${layer}`, op: 'MatMul', domain: '', inputs: [last, weight], outputs: [output], attributes: {} });
    last = output;
  }
  return { name: 'probe', inputs: [x, weight], outputs: [last], nodes, constants: new Map(), opsets: { '': 21 } };
}

/** Runs the smallest probe, so that a provider that does not work is detected. Throws the runtime's error. */
export async function checkProvider(ort: Ort, provider: Provider): Promise<void> {
  const { output } = await runProbe(ort, provider, 1, tiny, 1);
  const { output: expected } = await runProbe(ort, 'cpu', 1, tiny, 1);
  const error = relativeError(output, expected);
  if (!(error < 1e-2))
    throw new LoomweightError('runtime', `${provider} computed a wrong matrix product (relative error ${error.toExponential(1)}).`);
}

/** Times a probe: one warm-up, then the best of three. */
export function timeProvider(ort: Ort, provider: Provider, threads: number, size: ProbeSize): Promise<ProbeResult> {
  return runProbe(ort, provider, threads, size, 3);
}

async function runProbe(ort: Ort, provider: Provider, threads: number, size: ProbeSize, repetitions: number): Promise<ProbeResult> {
  const random = new SeededRandom(1);
  // Entries with variance 1 / width keep the chain's values near 1.
  const fill = (height: number, scale: number): RuntimeTensor => ({
    dtype: 'float32',
    shape: [height, size.width],
    data: Float32Array.from({ length: height * size.width }, () => (random.next() - 0.5) * scale),
  });
  const feeds = { x: fill(size.rows, 2), w: fill(size.width, Math.sqrt(12 / size.width)) };
  const session = await createSession({ ort, provider, threads, strict: true }, { name: 'probe', model: encodeModel(probeGraph(size)) });
  try {
    let output = (await session.run(feeds))['y'];
    let milliseconds = Infinity;
    for (let repetition = 0; repetition < repetitions; repetition += 1) {
      const start = performance.now();
      output = (await session.run(feeds))['y'];
      milliseconds = Math.min(milliseconds, performance.now() - start);
    }
    return { milliseconds, output: output?.data as Float32Array };
  } finally {
    await session.release();
  }
}

/** Norm of the difference divided by the norm of the expected result. */
export function relativeError(actual: Float32Array, expected: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < expected.length; index += 1) {
    difference += ((actual[index] ?? NaN) - (expected[index] as number)) ** 2;
    norm += (expected[index] as number) ** 2;
  }
  return Math.sqrt(difference / norm);
}
