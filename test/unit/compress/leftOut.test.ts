import { expect, test } from 'vitest';
import { leftOut } from '../../../src/engine/compress/leftOut';
import type { ModelSource, SourceTensor } from '../../../src/engine/models/modelSource';

const tensor = (name: string, columns: number): [string, SourceTensor] => [
  name,
  { entry: { name, dtype: 'float32', shape: [8, columns], bytes: 32 * columns, location: undefined }, role: 'head' },
];
const source = (...tensors: [string, SourceTensor][]) => ({ tensors: new Map(tensors) }) as unknown as ModelSource;

test('a refused tensor whose name begins another name does not hide the other', () => {
  const text = leftOut(source(tensor('w', 8), tensor('w: x', 16)), () => true, new Map([['w: x', 'no method takes it']]));
  expect(text).toBe('The largest: w: x: no method takes it; w [8, 8]: it is the output layer, which is compressed with --head.');
  // The other way round as well: 'w: x: ...' begins with 'w: '.
  const other = leftOut(source(tensor('w', 8), tensor('w: x', 16)), () => true, new Map([['w', 'no method takes it']]));
  expect(other).toContain('w: x [8, 16]: it is the output layer');
});

test('many refusals take a time near linear in their number', () => {
  const names = Array.from({ length: 60_000 }, (_, index) => `layer.${index}.weight`);
  const started = performance.now();
  const text = leftOut(source(...names.map((name) => tensor(name, 4))), () => true, new Map(names.map((name) => [name, 'no'] as const)));
  expect(text).toContain('and 59995 more');
  expect(performance.now() - started).toBeLessThan(10_000);
});
