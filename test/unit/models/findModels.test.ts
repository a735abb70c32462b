import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findModels } from '../../../src/engine/models/findModels';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-found-'));
  const put = (path: string, text: string) => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
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
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('an output folder is one model under its own name; a report.json of somebody else hides nothing, arrays and checkpoints are no models', async () => {
  const found = await findModels(folder);
  expect(found.map(({ name, format, bytes }) => [name, format, bytes])).toEqual([
    ['b.onnx', 'onnx', 2],
    ['later', 'archive', 7],
    ['a.gguf', 'gguf', 1],
    ['result', 'onnx', 7],
  ]);
});
