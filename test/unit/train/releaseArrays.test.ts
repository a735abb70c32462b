import { expect, test } from 'vitest';
import { releaseArrays } from '../../../src/engine/train/releaseArrays';

test('frees what nobody keeps, and nothing else', () => {
  const size = 1 << 19;
  const [old, kept, shared, small] = [new Float32Array(size), new Float32Array(size), new Float32Array(2 * size), new Float32Array(4)];
  releaseArrays([old, kept, shared.subarray(0, size), small, old], [kept, shared.subarray(size)]);
  expect([old.length, kept.length, shared.length, small.length]).toEqual([0, size, 2 * size, 4]);
});
