import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DecoderRuns } from '../../../src/engine/compress/budget/decoderRuns';
import { makePlan } from '../../../src/engine/compress/plan';
import { calibrationWindows } from '../../../src/engine/compress/planning/calibrationWindows';
import { planModel } from '../../../src/engine/compress/planning/planModel';
import { defineQuantizer, type BlockOffer, type Quantizer } from '../../../src/engine/compress/quantizers/quantizer';
import { rtn } from '../../../src/engine/compress/quantizers/rtn';
import { HostThreads } from '../../../src/engine/kernels/host/threads/hostThreads';
import { containerWeights } from '../../../src/engine/models/decoderWeights';
import { openSource } from '../../../src/engine/models/modelSource';
import { PlannedStore } from '../../../src/engine/outputs/planned/plannedStore';
import type { PlannedTensor } from '../../../src/engine/outputs/planned/plannedTensor';
import { verifyOutput } from '../../../src/engine/outputs/verification/verifyOutput';
import { findWriter } from '../../../src/engine/outputs/writers';
import type { CompressSpec, OutputFormat } from '../../../src/protocol/jobs';
import { workContext } from '../../support/workContext';
import { openRuntime } from '../../support/fixtures';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const runtime = await openRuntime();
let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'loomweight-planning-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Windows and tokens of a window. */
const few = { samples: 6, window: 48 };

/** A method by blocks: rounding that weighs columns by their moments, with all that it was offered noted. */
function byBlocks(offers: BlockOffer[], more: Partial<Quantizer> = {}): Quantizer {
  const { plan: _plan, ...descriptor } = rtn;
  return defineQuantizer({
    ...descriptor,
    id: 'by-blocks',
    needs: ['moments', 'gram'],
    unit: 'block',
    planBlock: async (offer) => {
      offers.push(offer);
      return {
        planned: new Map(
          offer.tensors.map(({ tensor, weights, parameters }) => {
            const moments = offer.statisticsOf(tensor.name)?.get('moments')?.values;
            return [tensor.name, rtn.plan({ tensor, weights, ...(moments ? { importance: Float32Array.from(moments) } : {}) }, parameters)];
          }),
        ),
      };
    },
    ...more,
  });
}

async function planned(model: string, quantizer: Quantizer, more: Partial<CompressSpec> = {}, limit?: number) {
  const source = await openSource(fixture(model));
  const spec: CompressSpec = { kind: 'compress', model, method: 'by-blocks', parameters: {}, format: 'hf', out: folder, ...more };
  const plan = makePlan(source, spec, quantizer);
  const store = new PlannedStore(folder, limit);
  const seen: string[] = [];
  await planModel(
    { source, plan, store, calibration: 'random', ...few, folder, threads: new HostThreads(1) },
    workContext(runtime),
    (_done, name) => seen.push(name),
  );
  return { source, plan, store, seen };
}

describe.each(['models/tiny-llama', 'models/tiny-mistral', 'models/tiny-qwen2'])('block after block: %s', (model) => {
  test('every block is offered once, in order, with the statistics of its own inputs', async () => {
    const offers: BlockOffer[] = [];
    const { source, plan, store, seen } = await planned(model, byBlocks(offers, { propagate: 'source' }), { head: true });
    expect([...seen].sort()).toEqual([...plan.keys()].sort());
    expect(seen.map(blockOf)).toEqual(seen.map(blockOf).sort((a, b) => a - b));
    expect(store.compressed().length).toBe(plan.size);
    const { config } = source.decoder!;
    const inBlocks = offers.filter(({ tensors }) => /layers\./.test(tensors[0]!.tensor.name));
    expect(inBlocks.length).toBe(config.layers);
    // The moments are those that the sensitivity measure gathers by itself from the float model.
    const sample = await calibrationWindows(source.container, config, { calibration: 'random', ...few }, 0);
    const runs = new DecoderRuns(containerWeights(source.container), config, sample, workContext(runtime));
    const expected = await runs.inputMoments(() => undefined);
    await runs.release();
    for (const { tensors, statisticsOf } of offers)
      for (const { tensor } of tensors) {
        const statistics = statisticsOf(tensor.name)!;
        const [moments, gram] = [statistics.get('moments')!, statistics.get('gram')!];
        const [, columns] = tensor.shape;
        expect(moments.tokens).toBe(sample.windows * sample.length);
        expect(gram.shape).toEqual([columns, columns]);
        moments.values.forEach((moment, column) => {
          expect(Math.abs(moment - expected.get(tensor.name)![column]!)).toBeLessThanOrEqual(1e-4 * moment + 1e-9);
          expect(Math.abs(gram.values[column * columns + column]! / moments.tokens - moment)).toBeLessThanOrEqual(1e-4 * moment + 1e-9);
        });
      }
    await source.container.close();
  });
});

test('with `result` a block sees the errors of those before it, with `source` it does not', async () => {
  const momentsOfLast = async (propagate: 'source' | 'result', bits: number) => {
    const offers: BlockOffer[] = [];
    const { source, store } = await planned('models/tiny-llama', byBlocks(offers, { propagate }), { parameters: { bits } });
    await source.container.close();
    await store.dispose();
    const last = offers.at(-1)!;
    return [...last.statisticsOf(last.tensors[0]!.tensor.name)!.get('moments')!.values];
  };
  const float = await momentsOfLast('source', 2);
  expect(await momentsOfLast('source', 8)).toEqual(float);
  const distance = (other: readonly number[]) => other.reduce((sum, value, index) => sum + Math.abs(value - float[index]!), 0);
  const [coarse, fine] = [distance(await momentsOfLast('result', 2)), distance(await momentsOfLast('result', 8))];
  expect(coarse).toBeGreaterThan(5 * fine);
  expect(fine).toBeGreaterThan(0);
});

/** Scales columns of the layers behind the first norm by powers of two and the norm by their inverses: the model computes the same. */
function folding(withNorm = true): Quantizer {
  const scaleOf = (column: number): number => 2 ** ((column % 5) - 2);
  const scaled = /self_attn\.[qkv]_proj\.weight$/;
  return byBlocks([], {
    planBlock: async (offer) => {
      const plans = new Map<string, PlannedTensor>();
      const transformed = new Map<string, Float32Array>();
      for (const { tensor, weights, parameters } of offer.tensors) {
        const [, columns] = tensor.shape;
        const values = scaled.test(tensor.name) ? weights.map((weight, index) => weight * scaleOf(index % columns)) : weights;
        transformed.set(tensor.name, values);
        plans.set(tensor.name, rtn.plan({ tensor, weights: values }, parameters));
      }
      if (!withNorm) return { planned: plans, transformed };
      const norm = offer.tensors[0]!.tensor.name.replace(/self_attn.*/, 'input_layernorm.weight');
      const values = (await offer.read(norm)).map((value, column) => value / scaleOf(column));
      plans.set(norm, { kind: 'plain', dtype: 'float32', shape: [values.length], values });
      return { planned: plans, transformed };
    },
  });
}

/** Writes, verifies, and gives the divergence from the float model in nats. */
async function proven(format: OutputFormat, { source, store }: Awaited<ReturnType<typeof planned>>): Promise<number> {
  const out = mkdtempSync(join(folder, 'out-'));
  const notes: string[] = [];
  const context = workContext(runtime, { note: (text) => notes.push(text) });
  const job = { source, planned: store, folder: out, signal: undefined, stored: () => undefined, note: () => undefined };
  const written = await findWriter(format).write(job);
  const { verification } = await verifyOutput({ ...job, written, writer: findWriter(format), context, blockErrorLimit: () => Infinity });
  expect(verification).toMatchObject({ passed: true, scope: 'whole' });
  await source.container.close();
  return Number(/diverges by (\S+) nats/.exec(notes.join(' '))?.[1]);
}

describe('a transform', () => {
  const settings = { parameters: { bits: 8, groupSize: 16 } };

  test.each(['hf', 'onnx-fast', 'onnx-packed', 'archive'] as const)('is written and verified as %s', async (format) => {
    const made = await planned('models/tiny-qwen2', folding(), settings);
    const { source, plan, store } = made;
    const plain = store.entries().filter(({ layout }) => layout.kind === 'plain');
    const layers = source.decoder!.config.layers;
    expect(plain.map(({ name }) => name)).toEqual(
      Array.from({ length: layers }, (_, block) => `model.layers.${block}.input_layernorm.weight`),
    );
    expect(store.compressed().length).toBe(plan.size);
    // Errors are those of rounding, not of the transform.
    for (const name of store.compressed()) expect(store.entry(name)!.relativeError).toBeLessThan(0.02);
    expect(await proven(format, made)).toBeLessThan(5e-3);
  });

  test('whose other half is missing changes the model', async () => {
    expect(await proven('hf', await planned('models/tiny-qwen2', folding(false), settings))).toBeGreaterThan(0.05);
  });
});

test('tensors beyond the limit and hidden states leave no file behind, and the plans are the same', async () => {
  const [small, large] = [await planned('models/tiny-llama', byBlocks([]), {}, 0), await planned('models/tiny-llama', byBlocks([]))];
  expect(readdirSync(folder)).toEqual(['.planned']);
  for (const name of large.store.compressed()) expect(await small.store.get(name)).toEqual(await large.store.get(name));
  for (const { source, store } of [small, large]) {
    await store.dispose();
    await source.container.close();
  }
  expect(readdirSync(folder)).toEqual([]);
});

test('a model without an architecture is refused, naming the method and an alternative', async () => {
  await expect(planned('onnx/digits-a.onnx', byBlocks([]))).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining('by-blocks') as string,
  });
});

test.each([
  ['a tensor that was offered and not planned', () => new Map<string, PlannedTensor>(), /offered but not planned/],
  [
    'codes for a tensor that was not offered',
    (name: string, matrix: PlannedTensor) =>
      new Map([
        [name, matrix],
        ['model.norm.weight', matrix],
      ]),
    /only plain values/,
  ],
  [
    'plain values of another length',
    (name: string, matrix: PlannedTensor) =>
      new Map<string, PlannedTensor>([
        [name, matrix],
        ['model.norm.weight', { kind: 'plain', dtype: 'float32', shape: [2], values: new Float32Array(2) }],
      ]),
    /it has \d+ values, got 2/,
  ],
])('%s is an error of the method', async (_, wrong, message) => {
  const method = byBlocks([], {
    planBlock: async ({ tensors: [first, ...others] }) => {
      const { tensor, weights, parameters } = first!;
      const matrix = rtn.plan({ tensor, weights }, parameters);
      const rest = others.map(
        (other) => [other.tensor.name, rtn.plan({ tensor: other.tensor, weights: other.weights }, other.parameters)] as const,
      );
      return { planned: new Map<string, PlannedTensor>([...rest, ...wrong(tensor.name, matrix)]) };
    },
  });
  await expect(planned('models/tiny-llama', method)).rejects.toThrow(message);
});

function blockOf(name: string): number {
  const match = /layers\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : Infinity;
}
