import { expect, test } from 'vitest';
import { releaseArrays } from '../../../src/engine/runtime/releaseArrays';

test('frees only unused arrays', () => {
  const size = 1 << 19;
  const [old, kept, shared, small] = [new Float32Array(size), new Float32Array(size), new Float32Array(2 * size), new Float32Array(4)];
  releaseArrays([old, kept, shared.subarray(0, size), small, old], [kept, shared.subarray(size)]);
  expect([old.length, kept.length, shared.length, small.length]).toEqual([0, size, 2 * size, 4]);
});

test('memory is freed without a garbage collection', () => {
  const bytes = 64 << 20;
  const held = (): number => process.memoryUsage().arrayBuffers;
  const array = new Uint8Array(bytes);
  const before = held();
  releaseArrays([array], []);
  expect(before - held()).toBeGreaterThanOrEqual(bytes);
});
