import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import type { AxisUse, LinkedAxis, ScaleFold } from '../../../src/engine/architectures/architecture';
import { floatWeights } from '../../../src/engine/architectures/decoder/floatWeights';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import { openRuntime } from '../../support/fixtures';
import { openBlockModel, type BlockModel } from '../blocks/blockModels';

/**
 * What belongs together is proven by the model itself: its graph, run with the axes in another order or with scales moved, gives the logits of the graph as it is.
 */
type Weights = ReadonlyMap<string, Float32Array>;

// A tied and an untied head, grouped heads, biases, sliding windows; loom-base is a trained model.
const names = ['../../media/samples/loom-base', 'models/tiny-llama', 'models/tiny-mistral', 'models/tiny-qwen2'] as const;
const kinds = ['vocabulary', 'hidden', 'intermediate', 'key-value-heads', 'query-heads'] as const satisfies readonly LinkedAxis['kind'][];
const length = 9;
const runtime = await openRuntime(2);
const random = new SeededRandom(3);

/** A random order of units that keeps stretches of `within` units together. */
function orderOf({ units, within = units }: LinkedAxis): number[] {
  const order = Array.from({ length: units }, (_, unit) => unit);
  for (let start = 0; start < units; start += within)
    for (let last = within - 1; last > 0; last -= 1) {
      const other = start + random.nextBelow(last + 1);
      [order[start + last], order[other]] = [order[other]!, order[start + last]!];
    }
  return order;
}

/** Values of a matrix or vector, entry by entry, from the entry that `from` names along an axis, times a factor. */
function along(values: Float32Array, columns: number, axis: number, from: (entry: number) => number, factor: (entry: number) => number) {
  return values.map((_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return axis === 0 ? values[from(row) * columns + column]! * factor(row) : values[row * columns + from(column)]! * factor(column);
  });
}

const columnsIn = (model: BlockModel, tensor: string): number => model.reader.shapeOf(tensor)[1] ?? 1;

function reordered(model: BlockModel, weights: Weights, uses: readonly AxisUse[], order: readonly number[]): Map<string, Float32Array> {
  const result = new Map(weights);
  for (const { tensor, axis, run } of uses) {
    const from = (entry: number) => order[Math.floor(entry / run)]! * run + (entry % run);
    result.set(
      tensor,
      along(result.get(tensor)!, columnsIn(model, tensor), axis, from, () => 1),
    );
  }
  return result;
}

function scaled(model: BlockModel, weights: Weights, { channels, from, to, repeated }: ScaleFold): Map<string, Float32Array> {
  const result = new Map(weights);
  // Powers of two change no rounding, so a difference is a wrong channel.
  const scales = Float32Array.from({ length: channels }, () => 2 ** (random.nextBelow(5) - 2));
  const same = (entry: number) => entry;
  const channelOf = (column: number) =>
    repeated ? Math.floor(column / (repeated.run * repeated.times)) * repeated.run + (column % repeated.run) : column;
  for (const tensor of from)
    result.set(
      tensor,
      along(result.get(tensor)!, columnsIn(model, tensor), 0, same, (row) => scales[row]!),
    );
  for (const tensor of to)
    result.set(
      tensor,
      along(result.get(tensor)!, columnsIn(model, tensor), 1, same, (column) => 1 / scales[channelOf(column)]!),
    );
  return result;
}

/** Logits [length, vocabulary] of the language model's graph. */
async function logitsOf({ architecture, config }: BlockModel, weights: Weights, ids: readonly number[]): Promise<Float32Array> {
  const session = await runtime.createFromGraph(architecture.buildLanguageModel(config, floatWeights(weights)), { keep: false });
  const int64 = (values: readonly number[]): RuntimeTensor => ({
    dtype: 'int64',
    shape: [1, length],
    data: BigInt64Array.from(values, BigInt),
  });
  const cache = { dtype: 'float32', shape: [1, config.keyValueHeads, 0, config.headSize], data: new Float32Array(0) } as const;
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, cache as RuntimeTensor]));
  const positions = int64(ids.map((_, index) => index));
  const given = { input_ids: int64(ids), attention_mask: int64(ids.map(() => 1)), position_ids: positions };
  try {
    return (await session.run({ ...feeds, ...given }, ['logits']))['logits']!.data as Float32Array;
  } finally {
    await session.release();
  }
}

function relative(values: Float32Array, expected: Float32Array): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return expected.reduce((most, value, index) => Math.max(most, Math.abs(values[index]! - value)), 0) / largest;
}

describe.each(names)('%s', (name) => {
  let model: BlockModel;
  let ids: number[];
  let logits: Float32Array;
  beforeAll(async () => {
    model = await openBlockModel(name);
    ids = Array.from({ length }, (_, index) => (index * index * 7 + 3 * index + 1) % model.config.vocabularySize);
    logits = await logitsOf(model, model.weights, ids);
  }, 60_000);
  afterAll(() => model.container.close());

  test('every axis of every tensor is named, with its length', () => {
    const { architecture, config } = model;
    const uses = architecture.linkedAxes(config).flatMap(({ units, kind, uses }) => uses.map((use) => ({ ...use, kind, units })));
    for (const { tensor, axis, run, units } of uses) expect(units * run).toBe(model.reader.shapeOf(tensor)[axis]);
    for (const { name: tensor, shape } of architecture.expectedTensors(config))
      shape.forEach((_, axis) => {
        const own = uses.filter((use) => use.tensor === tensor && use.axis === axis).map(({ kind }) => kind);
        expect([['vocabulary'], ['hidden'], ['intermediate'], ['key-value-heads'], ['key-value-heads', 'query-heads']]).toContainEqual(own);
      });
  });

  test.each(kinds)(
    'units of %s in another order leave the logits as they are',
    async (kind) => {
      const axes = model.architecture.linkedAxes(model.config).filter((axis) => axis.kind === kind);
      expect(axes).toHaveLength(kind === 'vocabulary' || kind === 'hidden' ? 1 : model.config.layers);
      const { vocabularySize } = model.config;
      let weights = model.weights;
      let tokens = ids;
      let expected = logits;
      for (const axis of axes) {
        const order = orderOf(axis);
        weights = reordered(model, weights, axis.uses, order);
        if (kind !== 'vocabulary') continue;
        // Token t is now in the row that came from row t.
        tokens = ids.map((id) => order.indexOf(id));
        expected = along(
          logits,
          vocabularySize,
          1,
          (column) => order[column]!,
          () => 1,
        );
      }
      expect(relative(await logitsOf(model, weights, tokens), expected)).toBeLessThan(1e-5);
    },
    60_000,
  );

  test.each(kinds)(
    'and one use of %s left out changes them',
    async (kind) => {
      const axis = model.architecture.linkedAxes(model.config).find((each) => each.kind === kind && (each.within ?? 2) > 1);
      // Query heads that share no key head have one order; the vocabulary of a tied model has one use.
      if (!axis || axis.uses.length === 1) return expect(['vocabulary', 'query-heads']).toContain(kind);
      const order = Array.from({ length: axis.units }, (_, unit) => unit);
      [order[0], order[1]] = [1, 0];
      // The tokens read are those that changed places.
      const tokens = ids.map((_, index) => index % 2);
      const usual = await logitsOf(model, model.weights, tokens);
      const partial = reordered(model, model.weights, axis.uses.slice(0, -1), order);
      expect(relative(await logitsOf(model, partial, tokens), usual)).toBeGreaterThan(1e-4);
    },
    60_000,
  );

  test('scales move from norms, up and value into the layers that read them', async () => {
    const folds = model.architecture.scaleFolds(model.config);
    expect(folds).toHaveLength(4 * model.config.layers + (model.config.tiedEmbeddings ? 0 : 1));
    const all = folds.reduce<Weights>((weights, fold) => scaled(model, weights, fold), model.weights);
    expect(relative(await logitsOf(model, all, ids), logits)).toBeLessThan(1e-5);
    const partial = scaled(model, model.weights, { ...folds[1]!, to: [] });
    expect(relative(await logitsOf(model, partial, ids), logits)).toBeGreaterThan(1e-4);
  }, 60_000);
});
