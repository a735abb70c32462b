import fc from 'fast-check';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../../src/engine/compress/compressModel';
import { fingerprintOf } from '../../../../src/engine/outputs/planned/fingerprint';
import { PlannedStore } from '../../../../src/engine/outputs/planned/plannedStore';
import type { QuantizedMatrix } from '../../../../src/engine/outputs/planned/plannedTensor';
import type { CompressSpec } from '../../../../src/protocol/jobs';
import { expectErrorsAgree } from '../../../support/expectErrorsAgree';
import { test } from '../../../support/fixtures';
import { rawSafetensors } from '../../../support/formatFiles';
import { randomMatrix } from '../../../support/plannedSamples';
import { propertySeed } from '../../../support/propertySeed';
import { workContext } from '../../../support/workContext';

describe('a store that runs out of memory', () => {
  test('keeps every tensor, of any size and in any order, while its buffers are used again', async ({ folder }) => {
    const sizes = fc.array(fc.tuple(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 8 });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 0, max: 3000 }), async (shapes, limit) => {
        const store = new PlannedStore(folder, limit, `.planned-${(round += 1)}`);
        const lent = new Uint8Array(24 * 40);
        let spilling = false;
        const expected: string[] = [];
        for (const [index, [rows, columns]] of shapes.entries()) {
          const made = randomMatrix(rows, columns);
          // As planning does: from the first tensor in the file on, codes are written into one buffer.
          const codes = spilling ? lent.subarray(0, made.codes.length) : made.codes;
          codes.set(made.codes);
          const tensor: QuantizedMatrix = { ...made, codes };
          expected.push(fingerprintOf(tensor));
          const layer = { name: `w${index}`, role: 'linear', storedShape: [rows, columns], transposed: false } as const;
          ({ spilled: spilling } = await store.add(layer, tensor, 0));
        }
        const found = [];
        for (const index of shapes.keys()) found.push(fingerprintOf(await store.get(`w${index}`)));
        await store.dispose();
        expect(found).toEqual(expected);
      }),
      { seed: propertySeed, numRuns: 200 },
    );
  });

  test('counts a tensor that is planned again once', async ({ folder }) => {
    const layer = { name: 'w', role: 'linear', storedShape: [8, 8], transposed: false } as const;
    const store = new PlannedStore(folder, 250);
    for (let time = 0; time < 5; time += 1) expect(await store.add(layer, randomMatrix(8, 8), 0)).toEqual({ spilled: false });
    expect(store.entries().length).toBe(1);
    await store.dispose();
  });
});

/** A safetensors file of float32 matrices with the values of a sine, and its path. */
function matrices(folder: string, sides: readonly number[], value = (index: number) => Math.sin(index * 1.7)): string {
  const header: Record<string, unknown> = {};
  let offset = 0;
  const data: Buffer[] = [];
  for (const [index, side] of sides.entries()) {
    const values = Float32Array.from({ length: side * side }, (_, place) => value(place + index * 101));
    header[`t${index}`] = { dtype: 'F32', shape: [side, side], data_offsets: [offset, (offset += values.byteLength)] };
    data.push(Buffer.from(values.buffer));
  }
  const bytes = rawSafetensors(Buffer.from(JSON.stringify(header)), offset);
  Buffer.concat(data).copy(bytes as Buffer, bytes.length - offset);
  const path = join(folder, 'matrices.safetensors');
  writeFileSync(path, bytes);
  return path;
}

describe('compressing under a memory limit', () => {
  test.for(['hf', 'archive'] as const)(
    '%s: the file has the errors of the report when only some tensors fit',
    async (format, { folder, runtime }) => {
      // 128 by 128 codes and scales take about 19 kB: five fit into 100 kB, the small one after them would fit as well.
      const model = matrices(folder, [128, 128, 128, 128, 128, 128, 128, 64, 128, 128]);
      const out = join(folder, 'out');
      const spec: CompressSpec = { kind: 'compress', model, method: 'rtn', parameters: { bits: 4 }, format, out };
      const report = await compressModel(spec, workContext(runtime, { memoryLimit: 250e6 + 4 * 100e3 }));
      expect(report.layers.length).toBe(10);
      expect(report.verification.passed).toBe(true);
      await expectErrorsAgree(model, out, report.layers);
    },
  );

  test('weights whose levels exceed float32 are refused before anything is written', async ({ folder, runtime }) => {
    for (const bits of [1, 2]) {
      const model = matrices(folder, [32], (index) => (index % 2 === 0 ? 3.3e38 : -3.3e38));
      const parameters = { bits, scales: 'float32' };
      const spec: CompressSpec = { kind: 'compress', model, method: 'rtn', parameters, format: 'hf', out: join(folder, 'out') };
      await expect(compressModel(spec, workContext(runtime))).rejects.toMatchObject({
        code: 'invalid-argument',
        message: expect.stringMatching(/'t0' .* exceed the largest float32\. Exclude it/) as string,
      });
    }
  });
});
