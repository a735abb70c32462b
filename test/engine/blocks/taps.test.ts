import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blockTensors, headMatrixName } from '../../../src/engine/architectures/decoder/expectedTensors';
import { BlockRunner } from '../../../src/engine/blocks/blockRunner';
import { tapBytes } from '../../../src/engine/blocks/blockMemory';
import { embedWindows } from '../../../src/engine/blocks/embedTokens';
import { headStatistics } from '../../../src/engine/blocks/headStatistics';
import { HiddenStates } from '../../../src/engine/blocks/hiddenStates';
import { tapKinds } from '../../../src/engine/blocks/taps';
import type { Statistics } from '../../../src/engine/blocks/taps/tap';
import type { DecoderTrace } from '../../support/referenceDecoder';
import { workContext } from '../../support/workContext';
import { blockModels, length, openBlockModel, sampleOf, traces, windows, worstError, type BlockModel } from './blockModels';
import { openRuntime } from '../../support/fixtures';

const runtime = await openRuntime(2);

/** Float32 sums of some hundred terms. */
const tolerance = 2e-6;
const everything = tapKinds.map(({ id }) => ({ kind: id }));

/** Statistics of every block, and the states after the last. */
async function gather(
  { config, reader }: BlockModel,
  ids: BigInt64Array,
  { windowsPerRun, plain }: { readonly windowsPerRun: number; readonly plain: boolean },
): Promise<{ readonly blocks: readonly Statistics[]; readonly hidden: HiddenStates }> {
  const hidden = HiddenStates.inMemory({ windows, length, hiddenSize: config.hiddenSize });
  await embedWindows(reader, config, ids, hidden, windowsPerRun);
  const runner = new BlockRunner(config, workContext(runtime), { windowsPerRun, resident: false });
  try {
    const blocks: Statistics[] = [];
    for (let block = 0; block < config.layers; block += 1)
      blocks.push(await runner.run({ block, weights: reader, input: hidden, output: hidden, taps: everything, plain }));
    return { blocks, hidden };
  } finally {
    await runner.release();
  }
}

/** The statistics of a layer's inputs over all windows, in float64. */
function expectedOf(reference: readonly DecoderTrace[], name: string, columns: number) {
  const rows = reference.flatMap(({ inputs }) => {
    const values = inputs.get(name)!;
    return Array.from({ length }, (_, token) => values.subarray(token * columns, (token + 1) * columns));
  });
  const mean = (of: (value: number) => number) =>
    Float64Array.from({ length: columns }, (_, column) => rows.reduce((sum, row) => sum + of(row[column]!), 0) / rows.length);
  const gram = Float64Array.from({ length: columns * columns }, (_, index) =>
    rows.reduce((sum, row) => sum + row[Math.floor(index / columns)]! * row[index % columns]!, 0),
  );
  return { moments: mean((value) => value * value), 'mean-absolute': mean(Math.abs), gram };
}

test('the reference of these tests matches transformers', async () => {
  const { cases } = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../golden/decoders.json'), 'utf8')) as {
    cases: { model: string; ids: number[]; whole: number[] }[];
  };
  const { referenceDecoder } = await import('../../support/referenceDecoder');
  for (const name of blockModels.slice(0, 3)) {
    const { config, weights, container } = await openBlockModel(name);
    const { ids, whole } = cases.find(({ model }) => model.endsWith(name))!;
    const { logits } = referenceDecoder(config, () => weights, ids);
    expect(whole.every((logit, index) => Math.abs(logit - logits[index]!) < 1e-4)).toBe(true);
    await container.close();
  }
});

describe.each(blockModels)('taps on %s', (name) => {
  let model: BlockModel;
  let reference: readonly DecoderTrace[];
  beforeAll(async () => {
    model = await openBlockModel(name);
    reference = traces(model);
  });
  afterAll(() => model.container.close());

  test.each([
    [1, false],
    [2, true],
    [windows, false],
  ])(
    'match float64 loops for every linear layer: %d windows per run, plain operators %s',
    async (windowsPerRun, plain) => {
      const { blocks } = await gather(model, sampleOf(model), { windowsPerRun, plain });
      for (const [block, statistics] of blocks.entries()) {
        const linear = blockTensors(model.config, block).filter(({ shape }) => shape.length === 2);
        expect([...statistics.keys()].sort()).toEqual(linear.map((tensor) => tensor.name).sort());
        for (const { name: tensor, shape } of linear) {
          const columns = shape[1] as number;
          const expected = expectedOf(reference, tensor, columns);
          for (const kind of tapKinds) {
            const statistic = statistics.get(tensor)!.get(kind.id)!;
            expect(statistic.tokens).toBe(windows * length);
            expect(statistic.shape).toEqual(kind.shape(columns));
            expect(worstError(statistic.values, expected[kind.id as keyof typeof expected])).toBeLessThan(tolerance);
          }
        }
      }
    },
    30_000,
  );

  test('Gram matrices are symmetric and positive semidefinite; their diagonal is the moments times the tokens', async () => {
    const { blocks } = await gather(model, sampleOf(model), { windowsPerRun: 2, plain: false });
    for (const statistics of blocks)
      for (const kinds of statistics.values()) {
        const { values, shape, tokens } = kinds.get('gram')!;
        const columns = shape[0] as number;
        const at = (row: number, column: number) => values[row * columns + column]!;
        const moments = kinds.get('moments')!.values;
        for (let row = 0; row < columns; row += 1) {
          for (let column = 0; column < row; column += 1) expect(at(row, column)).toBe(at(column, row));
          expect(Math.abs(at(row, row) / (moments[row]! * tokens) - 1)).toBeLessThan(1e-6);
        }
        expect(smallestPivot(values, columns)).toBeGreaterThan(0);
      }
  });

  test('layers with the same input share a statistic; a tap includes only the tensors that it names', async () => {
    const { blocks } = await gather(model, sampleOf(model), { windowsPerRun: windows, plain: false });
    const of = (suffix: string) => blocks[0]!.get(`model.layers.0.${suffix}.weight`)!.get('gram');
    expect(of('self_attn.k_proj')).toBe(of('self_attn.q_proj'));
    expect(of('self_attn.v_proj')).toBe(of('self_attn.q_proj'));
    expect(of('mlp.up_proj')).toBe(of('mlp.gate_proj'));
    expect(of('self_attn.o_proj')).not.toBe(of('self_attn.q_proj'));

    const { config, reader } = model;
    const input = HiddenStates.inMemory({ windows, length, hiddenSize: config.hiddenSize });
    await embedWindows(reader, config, sampleOf(model), input, 1);
    const runner = new BlockRunner(config, workContext(runtime), { windowsPerRun: windows, resident: false });
    const wanted = 'model.layers.1.self_attn.k_proj.weight';
    const read: string[] = [];
    const counting = { ...reader, read: (tensor: string, target?: Float32Array) => (read.push(tensor), reader.read(tensor, target)) };
    const taps = [{ kind: 'moments', tensors: new Set([wanted, 'model.layers.0.mlp.up_proj.weight']) }];
    const statistics = await runner.run({ block: 1, weights: counting, input, taps });
    expect([...statistics].map(([tensor, kinds]) => [tensor, [...kinds.keys()]])).toEqual([[wanted, ['moments']]]);
    // Without an output only what the tap needs is computed and read: the norm before it.
    expect(read).toEqual(['model.layers.1.input_layernorm.weight']);
    await expect(runner.run({ block: 0, weights: reader, input, taps: [{ kind: 'median' }] })).rejects.toThrow(/moments, gram/);
    await expect(runner.run({ block: 0, weights: reader, input })).rejects.toMatchObject({ code: 'internal' });
    await runner.release();
  });

  test('the head has statistics of the final norm', async () => {
    const { config, reader } = model;
    const { hidden } = await gather(model, sampleOf(model), { windowsPerRun: 2, plain: false });
    const kinds = tapKinds.map(({ id }) => id);
    const statistics = await headStatistics({ config, weights: reader, hidden, kinds, windowsPerRun: 2 }, workContext(runtime));
    const expected = expectedOf(reference, headMatrixName(config), config.hiddenSize);
    for (const kind of kinds)
      expect(worstError(statistics.get(kind)!.values, expected[kind as keyof typeof expected])).toBeLessThan(tolerance);
  });
});

test('the memory of taps is known before they run', async () => {
  const { config, container } = await openBlockModel('models/tiny-llama');
  await container.close();
  const { hiddenSize, intermediateSize, heads, headSize } = config;
  const inputs = [hiddenSize, hiddenSize, heads * headSize, intermediateSize];
  const columns = inputs.reduce((sum, width) => sum + width, 0);
  const squares = inputs.reduce((sum, width) => sum + width * width, 0);
  expect(tapBytes(config, 0, [{ kind: 'moments' }])).toBe(16 * columns);
  expect(tapBytes(config, 1, [{ kind: 'gram' }, { kind: 'moments' }])).toBe(16 * (columns + squares));
  expect(tapBytes(config, 1, [{ kind: 'gram', tensors: new Set() }])).toBe(0);
});

/** Smallest pivot of a Cholesky factorisation with a little damping: above 0 for a positive semidefinite matrix, to rounding. */
function smallestPivot(matrix: Float64Array, size: number): number {
  const factor = Float64Array.from(matrix);
  const damping = (1e-5 * factor.reduce((sum, value, index) => sum + (index % (size + 1) === 0 ? value : 0), 0)) / size;
  let smallest = Infinity;
  for (let column = 0; column < size; column += 1) {
    let pivot = factor[column * size + column]! + damping;
    for (let index = 0; index < column; index += 1) pivot -= factor[column * size + index]! ** 2;
    smallest = Math.min(smallest, pivot);
    const root = Math.sqrt(Math.max(pivot, 0));
    factor[column * size + column] = root;
    for (let row = column + 1; row < size; row += 1) {
      let value = factor[row * size + column]!;
      for (let index = 0; index < column; index += 1) value -= factor[row * size + index]! * factor[column * size + index]!;
      factor[row * size + column] = value / root;
    }
  }
  return smallest;
}
