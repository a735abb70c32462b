import { describe, expect, test } from 'vitest';
import { commandTarget } from '../../../src/common/shown';
import { histogramBars, histogramSvg, statisticsRows } from '../../../src/extension/languages/tensorCard';
import { candidateNames, tensorTokenAt } from '../../../src/extension/languages/tensorTokens';

describe('tensor names in text', () => {
  test.each([
    ['  tensor: "model.layers.0.mlp.up_proj.weight"', 14, 'model.layers.0.mlp.up_proj.weight'],
    ["state['h.0.attn.c_attn.weight'].shape", 10, 'h.0.attn.c_attn.weight'],
    ['model.layers.3.self_attn.q_proj: 8', 3, 'model.layers.3.self_attn.q_proj'],
    ['/model/layers.0/MatMul_weight', 5, '/model/layers.0/MatMul_weight'],
    ['onnx::MatMul_123', 15, 'onnx::MatMul_123'],
  ])('%s at %i is %s', (line, character, text) => expect(tensorTokenAt(line, character)?.text).toBe(text));

  test('the range covers only the name', () => {
    expect(tensorTokenAt('a: b.c.', 4)).toEqual({ text: 'b.c', start: 3, end: 6 });
  });

  test.each([
    ['  ', 1],
    ['12345.678', 3],
    [`${'a'.repeat(400)}`, 10],
    ['x = 3', 2],
  ])('nothing in %j at %i', (line, character) => expect(tensorTokenAt(line, character)).toBeUndefined());

  test('a module name refers to its weight, otherwise to its bias', () => {
    expect(candidateNames('h.0.fc')).toEqual(['h.0.fc', 'h.0.fc.weight', 'h.0.fc.bias']);
  });
});

describe('the card of a tensor', () => {
  const histogram = { minimum: -1, maximum: 1, counts: [0, 1, 100, 4] };

  test('the picture has a bar for each bin, highest at the largest count, none for an empty bin', () => {
    const bars = [...histogramSvg(histogram).matchAll(/height="([\d.]+)"\/>/g)].map((match) => Number(match[1]));
    expect(bars).toEqual([0, 4.4, 44, 8.8]);
  });

  test('the histogram in characters', () => expect(histogramBars(histogram, 4)).toBe('▁▁█▂'));

  test('non-finite values are shown only if there are any', () => {
    const statistics = {
      name: 'a',
      dtype: 'float16' as const,
      shape: [4],
      count: 4,
      minimum: -1,
      maximum: 1,
      mean: 0,
      standardDeviation: 0.5,
      zeros: 1,
      notFinite: 0,
      histogram,
    };
    expect(statisticsRows(statistics).map(([label]) => label)).toEqual(['min', 'max', 'mean', 'std', 'zeros']);
    expect(statisticsRows({ ...statistics, notFinite: 3 }).at(-1)).toEqual(['not finite', '3']);
    expect(statisticsRows(statistics)[4]?.[1]).toBe('1 (25 %)');
  });
});

test('a link survives every character in a path and returns its arguments', () => {
  const args = ['/a) [b](c/модель & "x"%29', 'w(0)'];
  const target = commandTarget('loomweight.openModel', args);
  expect(target).toMatch(/^command:loomweight\.openModel\?[^()\s[\]]+$/);
  expect(JSON.parse(decodeURIComponent(target.split('?')[1] ?? ''))).toEqual(args);
});
