import fc from 'fast-check';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readGraph } from '../../../../src/engine/formats/onnx/readGraph';
import { float, int } from '../../../../src/engine/graph/builder';
import { specializeGraph, workingOpset } from '../../../../src/engine/graph/passes/specialize';
import { verifyGraph } from '../../../../src/engine/graph/verifier';
import { operators } from '../../../../src/engine/ops';
import { temporaryFolder } from '../../../support/fixtures';
import { constant, fed, oldOperatorCases, type OldOperatorCase } from '../../../support/oldOperatorCases';
import { oldOperatorModel } from '../../../support/oldOperatorModel';
import { propertySeed } from '../../../support/propertySeed';
import { feedTensor, runGraph, runModel } from '../../../support/runGraph';

const folder = temporaryFolder();

async function fileOf(one: OldOperatorCase): Promise<string> {
  const file = join(folder, `${one.op}.onnx`);
  await writeFile(file, oldOperatorModel(one));
  return file;
}

/** The graph as training takes it. */
async function trained(file: string, shape: readonly number[]) {
  const graph = await readGraph(file, { operators, externalFrom: Infinity, opset: workingOpset });
  const special = specializeGraph(graph, { x: shape }, operators);
  expect(special.opsets['']).toBe(21);
  verifyGraph(special, operators);
  return special;
}

const newNames: Readonly<Record<string, string>> = { Scatter: 'ScatterElements', Upsample: 'Resize' };
const known = Object.entries(oldOperatorCases).filter(([op]) => operators.get('', newNames[op] ?? op) !== undefined);

test('most upgraded operators can be trained', () => {
  expect(known.length).toBeGreaterThan(25);
});

describe.each(known)('%s', (op, arbitrary) => {
  test('computes the same in a graph for training as the runtime does with the old form', { timeout: 120_000 }, async () => {
    let ran = 0;
    await fc.assert(
      fc.asyncProperty(arbitrary, async (one) => {
        const file = await fileOf(one);
        const { shape } = one.inputs[0]!;
        const feeds = { x: feedTensor('float32', [...shape], undefined, 7) };
        let expected;
        try {
          expected = await runModel(file, feeds);
        } catch {
          // The runtime has no kernel for this old form: there is nothing to be kept.
          return;
        }
        ran += 1;
        const found = await runGraph(await trained(file, shape), feeds);
        for (const [name, { data, shape: wanted }] of Object.entries(expected)) {
          expect(found[name]?.shape).toEqual(wanted);
          const values = Array.from(found[name]!.data as ArrayLike<number>, Number);
          Array.from(data as ArrayLike<number>, Number).forEach((value, index) => {
            if (!Object.is(values[index], value))
              expect(Math.abs((values[index] as number) - value)).toBeLessThanOrEqual(2e-6 * Math.max(1, Math.abs(value)));
          });
        }
      }),
      { seed: propertySeed, numRuns: 20 },
    );
    expect(ran).toBeGreaterThan(3);
  });
});

test('nearest Resize of opset 10 takes the values that the runtime takes', async () => {
  // ONNX Runtime: places / 0.6 rounded up, within the input.
  const one = { op: 'Resize', opset: 10, inputs: [fed([7]), constant('scales', [0.6])] } as const;
  const special = await trained(await fileOf(one), [7]);
  const { y0 } = await runGraph(special, { x: feedTensor('float32', [7], [0, 1, 2, 3, 4, 5, 6]) });
  expect([...(y0!.data as Float32Array)]).toEqual([0, 2, 4, 5]);
});

test('dropout keeps its ratio for training', async () => {
  const graph = await readGraph(await fileOf({ op: 'Dropout', opset: 7, inputs: [fed([2, 3])], attributes: { ratio: float(0.25) } }), {
    operators,
    opset: workingOpset,
  });
  const ratio = graph.nodes[0]?.inputs[1];
  const data = ratio && graph.constants.get(ratio);
  expect(data?.kind === 'inline' && new Float32Array(new Uint8Array(data.bytes).buffer)).toEqual(Float32Array.of(0.25));
});

test.each<[OldOperatorCase, RegExp]>([
  [
    {
      op: 'BatchNormalization',
      opset: 8,
      inputs: [fed([2, 3]), ...['s', 'b', 'm', 'v'].map((name) => constant(name, [1, 1, 1]))],
      attributes: { spatial: int(0) },
    },
    /BatchNormalization \(node 'node'\): statistics for each position/,
  ],
  [{ op: 'Relu', opset: 6, inputs: [fed([2, 3])] }, /older than opset 7/],
])('what has no form in the opset of training is refused: $op of opset $opset', async (one, message) => {
  await expect(readGraph(await fileOf(one), { operators, opset: workingOpset })).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(message) as string,
  });
});

test('a graph of an old opset is not specialised as it is', async () => {
  const graph = await readGraph(await fileOf({ op: 'Relu', opset: 11, inputs: [fed([2, 3])] }), { operators });
  expect(() => specializeGraph(graph, { x: [2, 3] }, operators)).toThrow(/has opset 11; it must be read upgraded to opset 21/);
});
