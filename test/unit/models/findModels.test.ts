import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findModels } from '../../../src/engine/models/findModels';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-found-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, text = 'x'): void {
  mkdirSync(join(folder, path, '..'), { recursive: true });
  writeFileSync(join(folder, path), text);
}

test("an output folder is one model under its own name; another program's report.json hides nothing; arrays and checkpoints are not models", async () => {
  const report = { kind: 'compress', version: '0.1.0', primary: 'onnx/model_q4.onnx', layers: [], outputs: [{ bytes: 5 }, { bytes: 2 }] };
  put('result/report.json', JSON.stringify(report));
  put('result/config.json', '{}');
  put('result/onnx/model_q4.onnx', 'x');
  // A kind that this version does not know has written a model all the same.
  put('later/report.json', JSON.stringify({ ...report, kind: 'later', primary: 'model.loomq' }));
  put('later/model.loomq', 'x');
  // Other programs have reports too, some of them with fields of the same names.
  put('other/report.json', '{"kind":"something else","primary":"a.gguf","version":3}');
  put('other/a.gguf', 'x');
  put('other/val-label.npy', 'x');
  put('broken/report.json', 'no JSON');
  put('result-2.checkpoint/state-20.safetensors', 'x');
  put('broken/b.onnx', 'xy');
  const found = await findModels(folder);
  expect(found.map(({ name, format, bytes }) => [name, format, bytes])).toEqual([
    ['b.onnx', 'onnx', 2],
    ['later', 'archive', 7],
    ['a.gguf', 'gguf', 1],
    ['result', 'onnx', 7],
  ]);
});

test('models are found by name: directories, single files, external data; not in hidden or package folders', async () => {
  put('llama/config.json', '{}');
  put('llama/model-00001-of-00002.safetensors', '12');
  put('llama/model-00002-of-00002.safetensors', '345');
  put('deep/er/a.onnx', '1');
  put('deep/er/a.onnx_data', '123456');
  put('b.gguf', '12');
  put('loose.safetensors', '1');
  put('.cache/c.gguf');
  put('node_modules/x/d.onnx');
  put('readme.md');
  const found = await findModels(folder);
  expect(found.map(({ name, format, bytes }) => [name, format, bytes]).sort()).toEqual([
    ['a.onnx', 'onnx', 7],
    ['b.gguf', 'gguf', 2],
    ['llama', 'hugging-face', 5],
    ['loose.safetensors', 'safetensors', 1],
  ]);
  await expect(findModels(folder, AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
  expect(await findModels(join(folder, 'missing'))).toEqual([]);
  expect(readdirSync(folder).length).toBeGreaterThan(0);
});
