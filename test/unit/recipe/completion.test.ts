import { describe, expect, test } from 'vitest';
import { stepKinds } from '../../../src/engine/jobs/index';
import { completeRecipe } from '../../../src/engine/recipe/completeRecipe';

/** Labels offered at the bar in the text. */
function complete(text: string): readonly string[] {
  const [before = ''] = text.split('|');
  const lines = before.split('\n');
  const position = { line: lines.length - 1, character: (lines.at(-1) as string).length };
  return completeRecipe({ text: text.replace('|', ''), position }, stepKinds).map(({ label }) => label);
}

const head = 'inputs:\n  base: model\n  books: text.txt\nsteps:\n';

describe('completion', () => {
  test('missing top-level keys', () => {
    expect(complete('|')).toEqual(['name', 'inputs', 'settings', 'steps']);
    expect(complete('name: x\nin|\nsteps:\n  - kind: inspect\n')).toEqual(['inputs', 'settings']);
  });

  test('a new step starts with its kind', () => {
    expect(complete(`${head}  - |`)).toEqual(['kind', 'name']);
    expect(complete(`${head}  - kind: |`)).toEqual(['inspect', 'compress', 'learn', 'evaluate', 'compare', 'generate', 'calibrate']);
    const [first] = completeRecipe({ text: `${head}  `, position: { line: 4, character: 2 } }, stepKinds);
    expect(first?.insertText).toBe('- kind: ');
  });

  test('keys of the kind, except those already present above or below', () => {
    expect(complete(`${head}  - kind: evaluate\n    |\n    model: base\n`)).toEqual([
      'name',
      'text',
      'window',
      'limit',
      'data',
      'split',
      'columns',
      'batch',
      'outputs',
    ]);
    expect(complete(`${head}  - kind: inspect\n    model: base\n  - kind: compare\n    |`)).toEqual(['name', 'first', 'second', 'tensors']);
  });

  test('a list in the column of its key', () => {
    expect(complete('steps:\n- kind: inspect\n  |')).toEqual(['name', 'model']);
  });

  test('methods, parameters and their values', () => {
    const step = `${head}  - kind: compress\n    method: rtn\n`;
    expect(complete(`${head}  - kind: compress\n    method: |`)).toEqual(['rtn', 'gptq', 'magnitude', 'wanda', 'sparsegpt', 'none']);
    expect(complete(`${step}    parameters:\n      |`)).toEqual(['bits', 'groupSize', 'symmetric', 'scales', 'clip']);
    expect(complete(`${step}    parameters:\n      bits: |`)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
    expect(complete(`${step}    parameters:\n      groupSize: |`)).toEqual(['32', 'row', 'tensor']);
    expect(complete(`${step}    overrides:\n      - |`)).toEqual(['glob', 'parameters']);
    expect(complete(`${step}    overrides:\n      - glob: '*'\n        parameters:\n          |`)).toEqual([
      'bits',
      'groupSize',
      'symmetric',
      'scales',
      'clip',
    ]);
    expect(complete(`${step}    format: |`)).toEqual(['hf', 'onnx', 'onnx-fast', 'onnx-packed', 'archive']);
    expect(complete(`${step}    head: |`)).toEqual(['true', 'false']);
  });

  test('names of inputs and of earlier compress steps, not of later ones', () => {
    const steps =
      `${head}  - kind: compress\n    name: small\n    model: base\n    method: rtn\n    out: a\n` +
      '  - kind: evaluate\n    model: |\n  - kind: compress\n    name: later\n    model: base\n    method: rtn\n    out: b\n';
    expect(complete(steps)).toEqual(['small', 'base', 'books']);
    expect(complete(steps.replace('model: |', 'text: |'))).toEqual(['base', 'books']);
  });

  test('a file that an earlier step writes', () => {
    const steps =
      `${head}  - kind: calibrate\n    name: written\n    model: base\n    out: a.jsonl\n` +
      '  - kind: compress\n    name: small\n    model: base\n    budget: 4\n    calibration: |\n';
    expect(complete(steps)).toEqual(['written', 'base', 'books', 'random']);
    expect(complete(steps.replace('model: base\n    budget', 'model: |\n    budget').replace('calibration: |', ''))).toEqual([
      'base',
      'books',
    ]);
  });

  test('settings', () => {
    expect(complete('settings:\n  |')).toEqual(['provider', 'threads', 'maxMemory', 'seed']);
    expect(complete('settings:\n  provider: |')).toContain('cuda');
  });

  test('nothing in comments, outside the text or in hostile text', () => {
    expect(complete('# na|')).toEqual([]);
    expect(completeRecipe({ text: 'a', position: { line: 7, character: 0 } }, stepKinds)).toEqual([]);
    expect(complete(`steps:\n${'- '.repeat(20_000)}|`).length).toBeLessThan(10);
    expect(complete(`${'a:\n'.repeat(20_000)}|`)).toEqual([]);
  });
});
