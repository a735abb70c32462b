import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { calibrateModel, estimateCalibrate } from '../../../src/engine/calibrate/calibrateModel';
import { formatSample, readCalibrationSet, type CalibrationSample } from '../../../src/engine/calibrate/calibrationSet';
import { planScoring } from '../../../src/engine/evaluate/scoringPlan';
import { scoreDecoder } from '../../../src/engine/evaluate/scoreDecoder';
import { writeOnnxModel } from '../../../src/engine/formats/onnx/writeOnnxModel';
import { containerWeights } from '../../../src/engine/models/decoderWeights';
import { openContainer } from '../../../src/engine/models/openContainer';
import { runnableDecoder } from '../../../src/engine/models/recognizeDecoder';
import type { Runtime } from '../../../src/engine/runtime/types';
import type { WorkContext } from '../../../src/engine/runtime/workContext';
import { loadTokenizer } from '../../../src/engine/text/tokenizer';
import type { CalibrateReport, CalibrateSpec } from '../../../src/protocol/calibration';
import { decoderGraph } from '../../support/decoderGraph';
import { test } from '../../support/fixtures';
import { projectRoot, readText } from '../../support/sourceTree';
import { workContext } from '../../support/workContext';

const sample = 'media/samples/loom-base';
const model = path.join(projectRoot, sample);
// sha256sum of the sample's model.safetensors.
const digest = 'd3e23a13e89188172009c19e957c1acbe5df67d5f1e04b22d4a9643f72880e79';

interface Made {
  readonly report: CalibrateReport;
  readonly file: string;
  readonly samples: readonly CalibrationSample[];
}

async function calibrate(
  runtime: Runtime,
  out: string,
  more: Partial<CalibrateSpec> = {},
  context: Partial<WorkContext> = {},
): Promise<Made> {
  const spec: CalibrateSpec = { kind: 'calibrate', model, source: 'self', samples: 3, length: 40, out, ...more };
  const report = await calibrateModel(spec, workContext(runtime, context));
  return { report, file: readFileSync(out, 'utf8'), samples: await readCalibrationSet(out) };
}

describe('text that the model writes', () => {
  test('is saved with its origin, and read again', async ({ runtime, folder }) => {
    const { report, file, samples } = await calibrate(runtime, path.join(folder, 'self.jsonl'), { temperature: '2:1:8,0.5', topK: 100 });
    expect(report).toMatchObject({ source: 'self', samples: 3, length: 40, tokens: 120, model: digest, bytes: Buffer.byteLength(file) });
    expect(report.perSample).toHaveLength(3);
    expect(samples.map(({ ids }) => [ids.length, ids[0]])).toEqual([
      [40, 0],
      [40, 0],
      [40, 0],
    ]);
    expect(samples.map(({ origin }) => origin)).toEqual(
      ['2:1:8', '0.5', '2:1:8'].map((temperature, sequence) => ({
        source: 'self',
        seed: 0,
        sequence,
        temperature,
        topK: 100,
        model: digest,
        provider: 'cpu',
      })),
    );
    expect(samples.map(formatSample).join('')).toBe(file);
    // English words, not the noise of random tokens.
    expect(samples.map(({ text }) => text).join(' ')).toMatch(/\b(the|and|of|to|he|it|in)\b.*\b(the|and|of|to|he|it|in)\b/s);
    expect(report.statistics.scripts).toEqual([{ script: 'Latin', share: 1 }]);
    expect(new Set(samples.map(({ text }) => text)).size).toBe(3);
    expect(file).not.toContain(folder);
    expect(file).not.toContain(projectRoot);
  });

  test('has the perplexity that the model gives to it when it reads it', async ({ runtime, folder }) => {
    const { report, samples } = await calibrate(runtime, path.join(folder, 'self.jsonl'), {
      samples: 4,
      length: 50,
      temperature: '0.7,1.3',
    });
    const container = await openContainer(model);
    const { config } = await runnableDecoder(container);
    const scored = async (chosen: readonly CalibrationSample[]): Promise<number> => {
      const windows = { window: 49, count: chosen.length, targets: Int32Array.from(chosen.flatMap(({ ids }) => ids.slice(1))) };
      const plan = planScoring(config, windows, undefined);
      const { loss, tokens } = await scoreDecoder(
        { weights: containerWeights(container), config, windows, bos: 0, plan },
        workContext(runtime),
      );
      return Math.exp(loss / tokens);
    };
    expect((report.statistics.perplexity as number) / (await scored(samples))).toBeCloseTo(1, 4);
    for (const [index, { perplexity }] of report.perSample.entries())
      expect((perplexity as number) / (await scored(samples.slice(index, index + 1)))).toBeCloseTo(1, 4);
    // Colder text is more probable.
    const [cold, hot] = report.perSample.map(({ perplexity = NaN }) => perplexity) as [number, number];
    expect(cold).toBeLessThan(hot);
    await container.close();
  });

  test('is the same for the same seed, and other for another', async ({ runtime, folder }) => {
    const first = await calibrate(runtime, path.join(folder, 'a.jsonl'), {}, { seed: 4 });
    expect((await calibrate(runtime, path.join(folder, 'b.jsonl'), {}, { seed: 4 })).file).toBe(first.file);
    expect((await calibrate(runtime, path.join(folder, 'c.jsonl'), {}, { seed: 5 })).file).not.toBe(first.file);
  });

  test('goes over several batches with sequences of their own', async ({ runtime, folder }) => {
    const { samples } = await calibrate(runtime, path.join(folder, 'a.jsonl'), { samples: 70, length: 12 });
    expect(samples.map(({ origin }) => origin.sequence)).toEqual(Array.from({ length: 70 }, (_, index) => index));
    expect(new Set(samples.map(({ ids }) => ids.join())).size).toBe(70);
  });

  test('comes from an ONNX model too', async ({ runtime, folder }) => {
    mkdirSync(path.join(folder, 'onnx'));
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) cpSync(path.join(model, name), path.join(folder, name));
    await writeOnnxModel(await decoderGraph(sample), path.join(folder, 'onnx', 'model.onnx'));
    const more = { samples: 2, length: 10 };
    const fromGraph = await calibrate(runtime, path.join(folder, 'a.jsonl'), { ...more, model: path.join(folder, 'onnx', 'model.onnx') });
    const fromWeights = await calibrate(runtime, path.join(folder, 'b.jsonl'), more);
    expect(fromGraph.samples.map(({ ids }) => ids)).toEqual(fromWeights.samples.map(({ ids }) => ids));
    expect(fromGraph.report.model).not.toBe(digest);
  });
});

describe('the own text', () => {
  const books = path.join(projectRoot, 'media/samples/text/books.txt');
  const tokensOf = async (): Promise<readonly number[]> => (await loadTokenizer([model])).encode(readFileSync(books, 'utf8'));

  test('is cut into pieces without overlap, others for another seed', async ({ runtime, folder }) => {
    const tokens = await tokensOf();
    const { samples, report } = await calibrate(runtime, path.join(folder, 'a.jsonl'), { source: books, samples: 20 });
    expect(report).toMatchObject({ source: 'text', samples: 20 });
    const hash = createHash('sha256').update(readFileSync(books)).digest('hex');
    for (const { ids, origin } of samples) {
      expect(origin).toMatchObject({ source: 'text', file: 'books.txt', fileHash: hash });
      expect(ids).toEqual([0, ...tokens.slice(origin.position, (origin.position as number) + 39)]);
    }
    const positions = samples.map(({ origin }) => origin.position as number);
    expect(new Set(positions).size).toBe(20);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    const other = await calibrate(runtime, path.join(folder, 'b.jsonl'), { source: books, samples: 20 }, { seed: 1 });
    expect(other.samples.map(({ origin }) => origin.position)).not.toEqual(positions);
    expect((await calibrate(runtime, path.join(folder, 'c.jsonl'), { source: books, samples: 20 })).file).toBe(
      readFileSync(path.join(folder, 'a.jsonl'), 'utf8'),
    );
  });

  test('of JSON lines is their text, and a short one gives fewer samples', async ({ runtime, folder }) => {
    const file = path.join(folder, 'lines.jsonl');
    const texts = ['It was a dark night.', 'The old man looked at her.'];
    writeFileSync(file, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    const tokens = (await loadTokenizer([model])).encode(texts.join('\n\n'));
    const notes: string[] = [];
    const { samples } = await calibrate(
      runtime,
      path.join(folder, 'a.jsonl'),
      { source: file, samples: 50, length: 7 },
      { note: (text) => void notes.push(text) },
    );
    expect(samples.map(({ ids }) => ids.slice(1)).flat()).toEqual(tokens.slice(0, 6 * Math.floor(tokens.length / 6)));
    expect(notes.join(' ')).toContain(`The text fills ${samples.length} of 50 pieces of 6 tokens.`);
    await expect(calibrate(runtime, path.join(folder, 'b.jsonl'), { source: file })).rejects.toThrow(
      /one sample needs 39\. Use a longer text/,
    );
    writeFileSync(file, '');
    await expect(calibrate(runtime, path.join(folder, 'b.jsonl'), { source: file })).rejects.toThrow(/has 0 tokens/);
  });

  test('is continued from its first tokens, and the least probable fifth is dropped', async ({ runtime, folder }) => {
    const tokens = await tokensOf();
    const made = await calibrate(runtime, path.join(folder, 'a.jsonl'), { source: books, prefix: 6, samples: 8, length: 30 });
    expect(made.report).toMatchObject({ source: 'prefix', samples: 8 });
    for (const { ids, origin } of made.samples) {
      const position = origin.position as number;
      expect(ids.slice(0, 7)).toEqual([0, ...tokens.slice(position, position + 6)]);
      expect(ids.slice(7)).not.toEqual(tokens.slice(position + 6, position + 29));
      expect(origin).toMatchObject({ source: 'prefix', prefix: 6, file: 'books.txt', temperature: '1' });
    }
    // 10 are written for 8: the same 10 pieces are the ones that a set of 10 texts has.
    const all = await calibrate(runtime, path.join(folder, 'b.jsonl'), { source: books, samples: 10, length: 30 });
    const positions = all.samples.map(({ origin }) => origin.position);
    expect(made.samples.filter(({ origin }) => !positions.includes(origin.position))).toEqual([]);
    const perplexities = made.report.perSample.map(({ perplexity }) => perplexity as number);
    expect(perplexities.every(Number.isFinite)).toBe(true);
    await expect(calibrate(runtime, path.join(folder, 'c.jsonl'), { source: books, prefix: 29, length: 30 })).rejects.toThrow(
      /leaves none to write/,
    );
  });
});

test('random tokens cover the vocabulary evenly', async ({ runtime, folder }) => {
  const { samples, report } = await calibrate(runtime, path.join(folder, 'r.jsonl'), { source: 'random', samples: 64, length: 257 });
  const drawn = samples.flatMap(({ ids }) => ids.slice(1));
  const quarters = [0, 0, 0, 0];
  for (const id of drawn) quarters[Math.floor(id / 1024)] = (quarters[Math.floor(id / 1024)] as number) + 1;
  const expected = drawn.length / 4;
  // Chi-square with 3 degrees of freedom: exceeded by one of 1,000.
  expect(quarters.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)).toBeLessThan(16.3);
  expect(samples.every(({ ids, origin }) => ids[0] === 0 && origin.temperature === undefined)).toBe(true);
  // 4,096 tokens drawn 16,384 times: all but exp(-4) of them occur.
  expect(report.statistics.perplexity).toBeUndefined();
  expect(report.statistics.vocabularyCoverage).toBeCloseTo(1 - Math.exp(-4), 1);
});

test('random tokens of one seed are in no other seed', async ({ runtime, folder }) => {
  const seeds = [0, 1, 2, 3];
  const made = [];
  for (const seed of seeds) {
    const { samples } = await calibrate(
      runtime,
      path.join(folder, `${seed}.jsonl`),
      { source: 'random', samples: 4, length: 12 },
      { seed },
    );
    made.push(...samples.map(({ ids }) => ids.join()));
  }
  expect(new Set(made).size).toBe(4 * seeds.length);
});

test('what is cancelled while statistics are computed leaves no file', async ({ runtime, folder }) => {
  const controller = new AbortController();
  const progress: WorkContext['progress'] = ({ phase }) => {
    if (phase === 'Statistics') controller.abort();
  };
  const out = path.join(folder, 'cancelled.jsonl');
  const made = calibrate(runtime, out, { source: 'random' }, { progress, signal: controller.signal });
  await expect(made).rejects.toThrow(/cancelled/i);
  expect(readdirSync(folder)).toEqual([]);
});

describe('refused before anything runs', () => {
  test.for([
    ['samples longer than the context', { length: 513 }, /Samples of 513 tokens exceed the model's context of 512/],
    [
      'a graph that is no language model',
      { model: path.join(projectRoot, 'media/samples/digits/digits-mlp.onnx') },
      /requires an ONNX graph with the input 'input_ids'/,
    ],
  ] as const)('%s', async ([, more, message], { runtime, folder }) => {
    const out = path.join(folder, 'none.jsonl');
    await expect(calibrate(runtime, out, more)).rejects.toThrow(message);
    await expect(estimateCalibrate({ kind: 'calibrate', model, source: 'self', samples: 3, out, ...more })).rejects.toThrow(message);
    expect(existsSync(out)).toBe(false);
  });

  test('a model without a start token', async ({ runtime, folder }) => {
    const changed = path.join(folder, 'model');
    cpSync(model, changed, { recursive: true });
    for (const [name, key] of [
      ['config.json', 'bos_token_id'],
      ['tokenizer_config.json', 'bos_token'],
    ] as const)
      writeFileSync(path.join(changed, name), JSON.stringify({ ...(JSON.parse(readText(`${sample}/${name}`)) as object), [key]: null }));
    const self = calibrate(runtime, path.join(folder, 'a.jsonl'), { model: changed });
    await expect(self).rejects.toThrow(/requires a start token .* Set bos_token_id in config.json/);
    const { samples } = await calibrate(runtime, path.join(folder, 'b.jsonl'), { model: changed, source: 'random' });
    expect(samples[0]?.ids).toHaveLength(40);
  });

  test('a file that exists', async ({ runtime, folder }) => {
    const out = path.join(folder, 'mine.jsonl');
    writeFileSync(out, 'mine');
    await expect(calibrate(runtime, out)).rejects.toThrow(/already exists/);
    expect(readFileSync(out, 'utf8')).toBe('mine');
  });
});

test('a cancelled run leaves nothing', async ({ runtime, folder }) => {
  const controller = new AbortController();
  const progress: WorkContext['progress'] = ({ phase }) => phase === 'Generating' && controller.abort();
  await expect(calibrate(runtime, path.join(folder, 'a.jsonl'), {}, { signal: controller.signal, progress })).rejects.toMatchObject({
    code: 'cancelled',
  });
  expect(readdirSync(folder)).toEqual([]);
});

test('the forecast covers what is written', async ({ runtime, folder }) => {
  const out = path.join(folder, 'a.jsonl');
  const { diskBytes } = await estimateCalibrate({ kind: 'calibrate', model, source: 'self', samples: 20, length: 200, out });
  const { report } = await calibrate(runtime, out, { samples: 20, length: 200 });
  expect(report.bytes).toBeLessThan(diskBytes);
});

describe('a damaged file is refused with its line', () => {
  const line = formatSample({ ids: [0, 5], text: 'a', origin: { source: 'self', seed: 0, sequence: 0, model: 'x', provider: 'cpu' } });

  test.for([
    ['', /has no samples/],
    [`${line}{"text":"b"}\n`, /Line 2 .* requires "ids"/],
    [`${line}\n\nnot JSON\n`, /Line 4 .* must be a JSON object/],
    [line.replace('[0,5]', '[0,-5]'), /Line 1 .* requires "ids"/],
    [line.replace('"text":"a"', '"text":7'), /requires "text"/],
    [line.replace('"seed":0,', ''), /requires "source", "seed"/],
    [line.replace('[0,5]', '[0,900]'), /Line 1 .* has token 900, but the model's vocabulary ends at 99/],
  ] as const)('%j', async ([content, message], { folder }) => {
    const file = path.join(folder, 'set.jsonl');
    writeFileSync(file, content);
    await expect(readCalibrationSet(file, 100)).rejects.toThrow(message);
  });
});
