import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import type { OutputFormat } from '../../../src/protocol/jobs';
import { compareOnDisk } from '../../support/expectErrorsAgree';
import { test } from '../../support/fixtures';
import { workContext } from '../../support/workContext';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

// Both models are float32, so that the dequantised values of hf are exact. The codes do not depend on the format.
test.for([
  ['a language model', '../../fixtures/models/tiny-qwen2', ['onnx', 'onnx-fast', 'onnx-packed', 'hf', 'archive']],
  ['a rewritten ONNX model', '../../../media/samples/digits/digits-mlp.onnx', ['onnx', 'onnx-fast', 'onnx-packed']],
] as const)(
  'any two formats of %s with the same codes are equal',
  { timeout: 120_000 },
  async ([, model, formats], { folder, runtime }) => {
    const layers = new Set<string>();
    for (const format of formats as readonly OutputFormat[]) {
      const out = join(folder, format);
      const spec = { kind: 'compress', model: path(model), method: 'rtn', parameters: { bits: 4, groupSize: 32 }, format, out } as const;
      const report = await compressModel(spec, workContext(runtime));
      for (const { name } of report.layers) layers.add(name);
    }
    expect(layers.size).toBeGreaterThan(0);
    for (const first of formats)
      for (const second of formats) {
        const { tensors } = await compareOnDisk(join(folder, first), join(folder, second));
        const differing = tensors.filter(({ status }) => status !== 'equal').map(({ name, status }) => `${name} ${status}`);
        expect(differing, `${first} and ${second}`).toEqual([]);
        expect(tensors.map(({ name }) => name)).toEqual(expect.arrayContaining([...layers]));
      }
  },
);
