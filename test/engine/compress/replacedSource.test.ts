import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { editModel } from '../../../src/engine/formats/onnx/editModel';
import type { Runtime } from '../../../src/engine/runtime/types';
import type { OutputFormat } from '../../../src/protocol/jobs';
import type { CompressReport } from '../../../src/protocol/report';
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

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const rounded = (model: string, out: string, format: OutputFormat = 'onnx') =>
  ({ kind: 'compress', model, method: 'rtn', parameters: {}, format, out }) as const;
/** Names and digests of files, as the report states them. */
const stated = (folder: string, ...names: readonly string[]) => names.map((path) => ({ path, sha256: sha256(join(folder, path)) }));
const sourceFiles = (report: CompressReport) => report.source.files.map(({ path, sha256: digest }) => ({ path, sha256: digest }));

test('the hash in the report is that of the file', async ({ folder, runtime }) => {
  const model = onnxFile('digits-mlp');
  const report = await compressModel(rounded(model, join(folder, 'out')), workContext(runtime));
  expect(sourceFiles(report)).toEqual(stated(dirname(model), basename(model)));
});

test('an ONNX file whose weights are all elsewhere is a file of the source as well', async ({ folder, runtime }) => {
  const source = join(folder, 'source');
  mkdirSync(source);
  const editor = await editModel(onnxFile('digits-mlp'));
  await editor.write(join(source, 'model.onnx'), { externalData: 'always' });
  await editor.close();
  const report = await compressModel(rounded(join(source, 'model.onnx'), join(folder, 'out')), workContext(runtime));
  expect(sourceFiles(report)).toEqual(stated(source, 'model.onnx', 'model.onnx_data'));
});

describe('the archive of an ONNX model', () => {
  const archive = async (folder: string, runtime: Runtime): Promise<string> => {
    const out = join(folder, 'archive');
    await compressModel(rounded(onnxFile('digits-mlp'), out, 'archive'), workContext(runtime));
    return out;
  };

  test.for(['', 'model.loomq'])("states the user's files, not the unpacked one (opened by '%s')", async (name, { folder, runtime }) => {
    const model = await archive(folder, runtime);
    const report = await compressModel(rounded(join(model, name), join(folder, 'out')), workContext(runtime));
    expect(sourceFiles(report)).toEqual(stated(model, 'model.loomq', 'graph.onnx'));
  });

  test.for(['model.loomq', 'graph.onnx'])('%s is watched', async (name, { folder, runtime }) => {
    const model = await archive(folder, runtime);
    let done = false;
    const progress = ({ phase }: { readonly phase: string }) => {
      if (done || phase !== 'Compressing') return;
      done = true;
      writeFileSync(join(model, name), Buffer.concat([readFileSync(join(model, name)), Buffer.alloc(1)]));
    };
    const out = join(folder, 'out');
    await expect(compressModel(rounded(model, out), workContext(runtime, { progress }))).rejects.toMatchObject({
      code: 'malformed-file',
      message: expect.stringContaining('written to') as string,
      details: { path: join(model, name) },
    });
    expect(existsSync(out)).toBe(false);
  });
});
