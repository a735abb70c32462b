import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { makePlan } from '../../../src/engine/compress/plan';
import { planModel } from '../../../src/engine/compress/planning/planModel';
import { HostThreads } from '../../../src/engine/kernels/host/threads/hostThreads';
import { openSource } from '../../../src/engine/models/modelSource';
import { PlannedStore } from '../../../src/engine/outputs/planned/plannedStore';
import type { QuantizedMatrix } from '../../../src/engine/outputs/planned/plannedTensor';
import { verifyOutput } from '../../../src/engine/outputs/verification/verifyOutput';
import { findWriter, outputWriters } from '../../../src/engine/outputs/writers';
import type { CompressSpec } from '../../../src/protocol/jobs';
import { test } from '../../support/fixtures';
import { rawSafetensors } from '../../support/formatFiles';
import { workContext } from '../../support/workContext';

const digits = fileURLToPath(new URL('../../../media/samples/digits/digits-mlp.onnx', import.meta.url));
const llama = fileURLToPath(new URL('../../fixtures/models/tiny-llama', import.meta.url));

describe.each([
  ['an ONNX model', digits, ['onnx', 'onnx-fast', 'onnx-packed', 'archive']],
  ['a language model', llama, outputWriters.map(({ id }) => id)],
] as const)('a plan of %s that was damaged in memory', (_what, model, formats) => {
  test.for(formats)('fails the verification of %s, although the file holds the plan', async (format, { folder, runtime }) => {
    const source = await openSource(model);
    const store = new PlannedStore(folder);
    try {
      const spec: CompressSpec = { kind: 'compress', model, method: 'rtn', parameters: { bits: 4 }, format, out: folder };
      const context = workContext(runtime);
      await planModel(
        { source, plan: makePlan(source, spec), store, calibration: undefined, folder, threads: new HostThreads(1) },
        context,
        () => undefined,
      );
      const name = store.compressed()[0]!;
      const { codes } = (await store.get(name)) as QuantizedMatrix;
      for (let index = 0; index < codes.length; index += 7) codes[index] = 15 - codes[index]!;
      const job = { source, planned: store, folder, signal: undefined, stored: () => undefined, note: () => undefined };
      const written = await findWriter(format).write(job);
      const request = { source, planned: store, folder, written, writer: findWriter(format), context, blockErrorLimit: () => Infinity };
      const { verification } = await verifyOutput(request);
      expect(verification.checks.map(({ name: check, passed }) => [check, passed])).toEqual([
        ['bytes', true],
        ['values', false],
      ]);
      expect(verification.checks[1]!.note).toMatch(new RegExp(`${name} has the relative error 0\\.\\d+, planned 0\\.\\d+`));
    } finally {
      await store.dispose();
      await source.container.close();
    }
  });
});

describe('an output that is not finite', () => {
  test('fails: float16 weights at the end of the range, rounded past it', async ({ folder, runtime }) => {
    const model = join(folder, 'large.safetensors');
    // 0x7bff is 65504, the largest float16; the step of 4366.9 becomes 4368, and 15 steps 65520.
    const data = Buffer.alloc(2 * 32 * 32);
    for (let index = 0; index < 32 * 32; index += 1) data.writeUInt16LE(index % 3 === 0 ? 0x7bff : 0x3c00, 2 * index);
    const header = { w: { dtype: 'F16', shape: [32, 32], data_offsets: [0, data.length] } };
    const bytes = rawSafetensors(Buffer.from(JSON.stringify(header)), data.length);
    data.copy(bytes as Buffer, bytes.length - data.length);
    writeFileSync(model, bytes);
    const spec: CompressSpec = { kind: 'compress', model, method: 'rtn', parameters: { bits: 4 }, format: 'hf', out: join(folder, 'out') };
    await expect(compressModel(spec, workContext(runtime))).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringMatching(/values: .*w contains -?Infinity/) as string,
    });
  });
});
