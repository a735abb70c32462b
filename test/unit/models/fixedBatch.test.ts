import { expect, test } from 'vitest';
import { batchInputs } from '../../../src/engine/train/models/axisLengths';

const input = (batch: number | string) => ({ name: 'x', type: { dtype: 'float32' as const, shape: [batch, 64] } });

test('a graph with a fixed batch trains with that batch, and is refused with another by naming the input', async () => {
  const inputs = await batchInputs([input(32)], 'model.onnx', undefined);
  expect(inputs(32)).toEqual([{ name: 'x', dtype: 'float32', shape: [32, 64] }]);
  expect(() => inputs(64)).toThrow(/batches of 64 samples, but input 'x' of model\.onnx is \[32, 64\].*or use --batch 32/);
  const single = await batchInputs([input(1)], 'model.onnx', undefined);
  expect(() => single(64)).toThrow(/Export the model with a free batch axis\.$/);
});

test('a graph with a free batch trains with any', async () => {
  const inputs = await batchInputs([input('batch')], 'model.onnx', undefined);
  expect(inputs(7)).toEqual([{ name: 'x', dtype: 'float32', shape: [7, 64] }]);
});
