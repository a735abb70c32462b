import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { test } from '../../support/fixtures';
import { onnxFile } from '../../support/onnxFixtures';
import { workContext } from '../../support/workContext';

/** What another program may do to the source meanwhile. The second model has the same tensors with other values. */
const disturbances: Readonly<Record<string, { readonly word: string; readonly act: (model: string, folder: string) => void }>> = {
  'replaced by another model': {
    word: 'replaced',
    act: (model, folder) => {
      copyFileSync(onnxFile('digits-a'), join(folder, 'other.onnx'));
      renameSync(join(folder, 'other.onnx'), model);
    },
  },
  'written to in place': {
    word: 'written to',
    act: (model) => {
      const bytes = readFileSync(model);
      bytes[bytes.length >> 1]! ^= 1;
      writeFileSync(model, bytes);
    },
  },
  removed: { word: 'removed', act: (model) => rmSync(model) },
};

describe.each(['Compressing', 'Writing', 'Reading back', 'Checking the whole model', 'Hashing the source'])(
  'while a job is %s',
  (phase) => {
    test.for(Object.keys(disturbances))('a source that is %s is noticed', async (name, { folder, runtime }) => {
      const model = join(folder, 'model.onnx');
      copyFileSync(onnxFile('digits-mlp'), model);
      const { word, act } = disturbances[name]!;
      let done = false;
      const progress = (step: { readonly phase: string }) => {
        if (done || step.phase !== phase) return;
        done = true;
        act(model, folder);
      };
      const spec = { kind: 'compress', model, method: 'rtn', parameters: {}, format: 'onnx', out: join(folder, 'out') } as const;
      await expect(compressModel(spec, workContext(runtime, { progress }))).rejects.toMatchObject({
        code: 'malformed-file',
        message: expect.stringContaining(word) as string,
        details: { path: model },
      });
      expect(done).toBe(true);
      expect(existsSync(spec.out)).toBe(false);
    });
  },
);

test('the hash in the report is that of the file', async ({ folder, runtime }) => {
  const model = onnxFile('digits-mlp');
  const spec = { kind: 'compress', model, method: 'rtn', parameters: {}, format: 'onnx', out: join(folder, 'out') } as const;
  const { source } = await compressModel(spec, workContext(runtime));
  expect(source.files.map(({ sha256 }) => sha256)).toEqual([createHash('sha256').update(readFileSync(model)).digest('hex')]);
});
