import { expect, test } from 'vitest';
import { globMatcher } from '../../../src/common/glob';

test.each([
  ['*', 'model.norm.weight', true],
  ['model.layers.*.mlp.down_proj.weight', 'model.layers.10.mlp.down_proj.weight', true],
  ['*.down_proj.weight', 'model.layers.0.mlp.up_proj.weight', false],
  ['*.{q,k}_proj.*', 'a.k_proj.weight', true],
  ['*.{q,k}_proj.*', 'a.v_proj.weight', false],
  ['a.?', 'a.b', true],
  ['a.?', 'a.', false],
  ['a+b[0]', 'a+b[0]', true],
  ['a*b*c', 'aXbYbZc', true],
  ['a, b', 'b', true],
  ['{a,{b,c}}d', 'cd', true],
  ['{unclosed', '{unclosed', true],
  ['', '', true],
])('%s on %s: %s', (glob, name, expected) => expect(globMatcher(glob)(name)).toBe(expected));

test('a hostile glob is matched quickly', () => {
  const start = performance.now();
  expect(globMatcher('*a'.repeat(500) + 'b')('a'.repeat(5000))).toBe(false);
  globMatcher('{a,b}'.repeat(40))('x');
  expect(performance.now() - start).toBeLessThan(2000);
});
