import Ajv from 'ajv';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { stepKinds } from '../../../src/engine/jobs/index';
import { analyzeRecipe } from '../../../src/engine/recipe/analyzeRecipe';
import { filesUnder, readText } from '../../support/sourceTree';

// The file that ships: another test compares it with what the kinds give.
const schema = JSON.parse(readText('media/loom.schema.json')) as Record<string, unknown>;
const validate = new Ajv({ strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true, allErrors: true }).compile(
  schema,
);

/** What the schema finds wrong, as an editor would show it. */
function refusals(text: string): readonly string[] {
  if (validate(parse(text))) return [];
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** What the engine's own check finds wrong, paths apart: whether they exist is nothing that a schema can know. */
function findings(text: string): readonly string[] {
  return analyzeRecipe(join(__dirname, 'r.loom.yaml'), text, stepKinds).diagnostics.map(({ message }) => message);
}

/** Recipes in the samples, and in the blocks of the documents. */
const written = filesUnder('media', 'docs')
  .concat('README.md')
  .flatMap((path): readonly (readonly [string, string])[] => {
    if (/\.loom\.ya?ml$/.test(path)) return [[path, readText(path)]];
    if (!path.endsWith('.md')) return [];
    const blocks = [...readText(path).matchAll(/^```ya?ml\n(.*?)^```$/gms)].map(([, block = '']) => block);
    return blocks.filter((block) => /^steps:/m.test(block)).map((block, index) => [`${path}, block ${index + 1}`, block]);
  });

test('bundled and documented recipes are found', () => {
  expect(written.map(([where]) => where.split(',')[0])).toEqual(
    expect.arrayContaining(['media/samples/first.loom.yaml', 'docs/recipes.md']),
  );
});

test.each(written)('%s is valid for the schema and the engine', (_, text) => {
  expect(refusals(text)).toEqual([]);
  expect(findings(text)).toEqual([]);
});

test('every method of every kind is accepted', () => {
  for (const kind of stepKinds)
    for (const method of kind.methods?.() ?? []) {
      const data = kind.fields.some(({ key }) => key === 'data') ? 'data: t.txt, ' : '';
      const text = `steps:\n  - { kind: ${kind.id}, model: m, ${data}method: ${method.id}, out: o }\n`;
      expect([method.id, refusals(text), findings(text)]).toEqual([method.id, [], []]);
    }
});

const compress = (rest: string) => `steps:\n  - { kind: compress, model: m, out: o, ${rest} }\n`;
const learn = (rest: string) => `steps:\n  - { kind: learn, model: m, data: t.txt, out: o${rest} }\n`;
const evaluate = (rest: string) => `steps:\n  - { kind: evaluate, model: m, ${rest} }\n`;

describe('schema and engine agree', () => {
  test.each([
    compress('method: rtn'),
    compress('method: rtn, parameters: { bits: 3, groupSize: row, clip: true }, embeddings: true, format: archive'),
    compress('method: none, parameters: { dtype: float16 }, format: hf'),
    compress('budget: 3.5'),
    compress('budget: 3.5, parameters: { groupSize: 64 }, unit: group, sensitivity: activation'),
    compress("budget: 3.5, overrides: [{ glob: '*.down_proj.weight', parameters: { bits: 16 } }]"),
    compress('budget: 3.5, calibration: random'),
    compress('budget: 3.5, calibration: t.txt, measure: 4'),
    learn(''),
    learn(', method: diffq, targetBits: 3, parameters: { maxBits: 12 }'),
    learn(', penalty: 0, steps: 10, exclude: lm_head.weight, formats: [archive, onnx-packed]'),
    learn(', method: qat, parameters: { bits: 4 }, halfRest: false'),
    learn(', method: quant-noise, parameters: { bits: 5.5 }'),
    evaluate('text: t.txt, window: 64'),
    evaluate('data: d, split: val, columns: { input: pixel_* }'),
    'steps:\n  - { kind: compare, first: a, second: b }\n  - { kind: inspect, name: look, model: a }\n',
    'name: n\ninputs: { base: m }\nsettings: { provider: cpu, threads: 2, maxMemory: 2GB, seed: 1 }\nsteps:\n  - { kind: inspect, model: base }\n',
  ])('that %j is valid', (text) => {
    expect(refusals(text)).toEqual([]);
    expect(findings(text)).toEqual([]);
  });

  test.each([
    'steps: []\n',
    'name: n\n',
    'stpes:\n  - { kind: inspect, model: m }\n',
    'settings: { threads: many }\nsteps:\n  - { kind: inspect, model: m }\n',
    'steps:\n  - { kind: comprss, model: m, method: rtn, out: o }\n',
    'steps:\n  - { kind: compress, model: m, method: rtn }\n',
    'steps:\n  - { model: m }\n',
    compress('method: gptx'),
    compress('method: diffq'),
    compress('method: rtn, parameters: { bits: 9 }'),
    compress('method: rtn, parameters: { bits: 0 }'),
    compress('method: rtn, parameters: { bist: 4 }'),
    compress('method: none, parameters: { bits: 4 }'),
    compress('method: rtn, overrides: [{ glob: a }]'),
    compress('method: rtn, overrides: [{ glob: a, parameters: { bits: 9 } }]'),
    compress('method: rtn, format: onx'),
    compress('format: onnx'),
    compress('method: rtn, unit: channel'),
    compress('budget: 0'),
    compress('budget: 33'),
    compress('budget: 3.5, measure: 4'),
    compress('method: rtn, steps: 10'),
    learn(', method: rtn'),
    learn(', method: diffq, parameters: { maxBits: 16 }'),
    learn(', method: qat, parameters: { maxBits: 8 }'),
    learn(', method: qat, parameters: { bits: 99 }'),
    learn(', method: lsq, parameters: { bits: 5.5 }'),
    learn(', parameters: { bist: 4 }'),
    learn(', targetBits: 3, penalty: 1'),
    learn(', method: qat, targetBits: 3'),
    learn(', targetBits: -1'),
    learn(', formats: [archive, onx]'),
    learn(', budget: 3.5'),
    learn(', embeddings: true'),
    learn(', resume: true'),
    'steps:\n  - { kind: learn, model: m, out: o }\n',
    evaluate('window: 64'),
    evaluate('text: t.txt, data: d'),
    evaluate('text: t.txt, split: val'),
    evaluate('data: d, window: 64'),
    evaluate('text: t.txt, window: 1'),
    'steps:\n  - { kind: compare, first: a }\n',
  ])('that %j is not', (text) => {
    expect(refusals(text)).not.toEqual([]);
    expect(findings(text)).not.toEqual([]);
  });
});

// What depends on what a text names, a schema cannot see: the engine alone refuses these.
test.each([
  [compress('budget: 3.5, calibration: random, measure: 4'), /^measure requires calibration with a text or data/],
  [compress('budget: 3.5, parameters: { bits: 4 }'), /^A budget chooses the bits of every tensor/],
  ['steps:\n  - { kind: learn, model: m, data: d, window: 64, out: o }\n', /^window applies only to training on text/],
  [`${compress('method: rtn')}  - { kind: inspect, model: m, name: a }\n  - { kind: inspect, model: a }\n`, /does not write a model/],
])('the engine refuses %j', (text, message) => {
  expect(findings(text)).toEqual([expect.stringMatching(message)]);
});
