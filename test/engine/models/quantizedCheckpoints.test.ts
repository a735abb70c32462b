import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Engine } from '../../../src/engine/engine';
import { allocationUnits, outputFormats, type JobSpec } from '../../../src/protocol/jobs';
import { test } from '../../support/fixtures';
import { failureOf } from '../../support/formatFiles';

const tinyLlama = join(__dirname, '..', '..', 'fixtures', 'models', 'tiny-llama');

/** A copy of a model whose config says that it is quantised, as after `quantization_config` was written by another tool. */
function quantizedModel(folder: string): string {
  const model = join(folder, 'model');
  cpSync(tinyLlama, model, { recursive: true });
  const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, quantization_config: { quant_method: 'gptq', bits: 4 } }));
  return model;
}

test('every kind of job refuses a quantised checkpoint by naming the method, at the forecast and at the start', async ({ folder }) => {
  const model = quantizedModel(folder);
  const text = join(folder, 'text.txt');
  writeFileSync(text, 'To be, or not to be, that is the question. '.repeat(20));
  const out = join(folder, 'out');
  const specs: readonly (JobSpec & Readonly<Record<string, unknown>>)[] = [
    { kind: 'evaluate', model, text },
    ...outputFormats.flatMap((format) => [
      { kind: 'compress', model, method: 'rtn', parameters: { bits: 4 }, format, out },
      { kind: 'compress', model, method: 'none', parameters: {}, format, out },
      ...allocationUnits.map((unit) => ({ kind: 'compress', model, method: 'rtn', parameters: {}, format, out, budget: 4, unit })),
    ]),
    { kind: 'compare', first: model, second: tinyLlama },
    { kind: 'compare', first: tinyLlama, second: model },
    { kind: 'learn', model, method: 'diffq', parameters: {}, data: text, targetBits: 4, formats: ['archive'], out },
  ];
  const engine = new Engine();
  try {
    for (const spec of specs)
      for (const action of [() => engine.forecast({ spec }), () => engine.runJob({ spec })]) {
        const { code, message } = await failureOf(action);
        expect(`${spec.kind} ${code} ${message}`).toMatch(/ unsupported .*already quantised with gptq \(4 bits\)/);
      }
    expect(existsSync(out)).toBe(false);
    const { diagnostics, tensors } = await engine.inspect({ model });
    expect(diagnostics).toMatchObject([{ code: 'quantized-checkpoint', severity: 'warning' }]);
    expect(tensors.length).toBeGreaterThan(0);
  } finally {
    await engine.dispose();
  }
}, 60_000);

test('integers in the place of a decoder weight are refused where no scale and no config says more', async ({ folder }) => {
  const model = join(folder, 'codes');
  mkdirSync(model);
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) cpSync(join(tinyLlama, name), join(model, name));
  const bytes = readFileSync(join(tinyLlama, 'model.safetensors'));
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, { dtype: string }>;
  header['model.layers.0.mlp.up_proj.weight']!.dtype = header['model.layers.0.mlp.up_proj.weight']!.dtype === 'F32' ? 'I32' : 'I16';
  const text = Buffer.from(JSON.stringify(header).padEnd(length));
  writeFileSync(join(model, 'model.safetensors'), Buffer.concat([bytes.subarray(0, 8), text, bytes.subarray(8 + length)]));
  const engine = new Engine();
  try {
    const spec = { kind: 'compress', model, method: 'rtn', parameters: {}, format: 'hf', out: join(folder, 'out') } as JobSpec;
    const { code, message } = await failureOf(() => engine.runJob({ spec }));
    expect(`${code} ${message}`).toMatch(
      /^unsupported 'model\.layers\.0\.mlp\.up_proj\.weight' .* type int(16|32)\. .*codes of a quantised/,
    );
  } finally {
    await engine.dispose();
  }
});
