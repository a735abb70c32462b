import { expect } from 'vitest';
import { openSource } from '../../../src/engine/models/modelSource';
import { Engine } from '../../../src/engine/engine';
import { test } from '../../support/fixtures';
import { failureOf } from '../../support/formatFiles';
import { writeHeaderModel } from '../../support/headerModel';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 16,
};

test.for<readonly [key: string, value: number]>([
  ['num_hidden_layers', 1e9],
  ['head_dim', 2 ** 27],
  ['head_dim', 2 ** 40],
  ['hidden_size', 2 ** 40],
  ['num_attention_heads', 2 ** 30],
  ['num_key_value_heads', 2 ** 30],
])('%s of %d is refused at once, for looking as for work', async ([key, value], { folder }) => {
  const model = writeHeaderModel(folder, 'model', { 'model.norm.weight': ['F32', 8] }, { ...config, [key]: value });
  const started = performance.now();
  const engine = new Engine();
  for (const action of [() => openSource(model), () => engine.inspect({ model })])
    expect((await failureOf(action)).message).toMatch(/^config\.json needs (at most \d+|a divisor .*) for '\w+'/);
  await engine.dispose();
  expect(performance.now() - started).toBeLessThan(2000);
});
