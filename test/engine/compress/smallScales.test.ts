import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops';
import { test } from '../../support/fixtures';
import { propertySeed } from '../../support/propertySeed';
import { workContext } from '../../support/workContext';

const [inner, outer] = [64, 48];

/** A product whose weights, or only those of every third output, are as small as `size`. */
function model(folder: string, size: number, every = 1): string {
  const random = new SeededRandom(9);
  const build = new GraphBuilder(operators, 'small');
  const values = Float32Array.from(
    { length: inner * outer },
    (_, index) => ((index % outer) % every === 0 ? size : 1) * random.nextNormal(),
  );
  const weight = build.constant({ kind: 'inline', dtype: 'float32', shape: [inner, outer], bytes: new Uint8Array(values.buffer) }, 'w');
  const scale = build.float32(
    Array.from({ length: outer }, (_, index) => (index % every === 0 ? 1 / size : 1)),
    [outer],
  );
  build.output(build.op('Mul', [build.op('MatMul', [build.input('x', { dtype: 'float32', shape: [3, inner] }), weight]), scale]), 'y');
  const path = join(folder, 'small.onnx');
  writeFileSync(path, encodeModel(build.finish()));
  return path;
}

// 2e-6: eight bits have scales below what float16 holds well, one and two bits do not.
describe.each([1e-9, 2e-6, 2e-5])('a budget for weights of size %d', (size) => {
  test.for([
    ['tensor', 4],
    ['tensor', 5],
    ['channel', 4],
    ['group', 4],
    ['group', 5],
  ] as const)('by %s, %d bits', async ([unit, budget], { folder, runtime }) => {
    const measured = [];
    for (const each of [size, 1]) {
      const spec = {
        kind: 'compress',
        model: model(folder, each),
        method: 'rtn',
        parameters: {},
        format: 'archive',
        out: join(folder, `out-${each}`),
        budget,
        unit,
        sensitivity: 'error',
      } as const;
      const report = await compressModel(spec, workContext(runtime));
      expect(report.bitsPerWeight).toBeLessThanOrEqual(budget);
      expect(report.verification).toMatchObject({ verdict: 'passed', scope: 'whole' });
      measured.push(report.verification.change!.measured);
    }
    // The same weights 1 / size times as large have half as wide scales, which is at most half a bit per weight: errors at most 2^0.5 times as large, or twice where whole bits count.
    expect(measured[0]).toBeLessThan(measured[1]! * (unit === 'tensor' ? 2 : 1.5));
    expect(measured[0]).toBeGreaterThan(measured[1]! / 1.5);
  });
});

test('no budget is exceeded, whatever the size of all weights or of some rows', { timeout: 120_000 }, async ({ folder, runtime }) => {
  const random = new SeededRandom(propertySeed);
  const pick = <T>(all: readonly T[]): T => all[random.nextBelow(all.length)] as T;
  for (let round = 0; round < 30; round += 1) {
    const spec = {
      kind: 'compress',
      model: model(folder, 10 ** (-9 * random.next() - 1.5), pick([1, 3, 7])),
      method: 'rtn',
      parameters: pick([{}, { groupSize: 32 }, { clip: false }, { symmetric: true }]),
      format: 'archive',
      out: join(folder, `out-${round}`),
      budget: 1.5 + 5 * random.next(),
      unit: pick(['tensor', 'channel', 'group'] as const),
      sensitivity: 'error',
    } as const;
    const { bitsPerWeight, verification } = await compressModel(spec, workContext(runtime));
    expect(bitsPerWeight, JSON.stringify(spec)).toBeLessThanOrEqual(spec.budget);
    expect(verification.passed).toBe(true);
  }
});

describe.each(['onnx', 'onnx-fast', 'onnx-packed', 'archive'] as const)('as %s', (format) => {
  test.for([1e-3, 1e-6, 1e-9, 1e-20, 1e-30])('weights of size %d keep their eight bits', async (size, { folder, runtime }) => {
    const parameters = { bits: 8 };
    const spec = { kind: 'compress', model: model(folder, size), method: 'rtn', parameters, format, out: join(folder, 'out') } as const;
    const report = await compressModel(spec, workContext(runtime));
    // Normal numbers in groups of 32: a range of some 4 deviations in 255 steps, half a step at most, uniform: 4 / 255 / sqrt(12) = 0.5 %.
    expect(report.layers[0]!.relativeError).toBeLessThan(0.007);
    expect(report.verification).toMatchObject({ verdict: 'passed', scope: 'whole' });
    expect(report.verification.change!.measured).toBeLessThan(0.01);
  });

  test('rows of small weights beside others keep theirs', async ({ folder, runtime }) => {
    const parameters = { bits: 4 };
    const spec = { kind: 'compress', model: model(folder, 1e-9, 3), method: 'rtn', parameters, format, out: join(folder, 'out') } as const;
    const report = await compressModel(spec, workContext(runtime));
    // Without them a third of the outputs would be 0: a change of 58 %.
    expect(report.verification.change!.measured).toBeLessThan(0.12);
  });

  test('ordinary weights have float16 scales', async ({ folder, runtime }) => {
    const spec = {
      kind: 'compress',
      model: model(folder, 1),
      method: 'rtn',
      parameters: { bits: 4 },
      format,
      out: join(folder, 'out'),
    } as const;
    const report = await compressModel(spec, workContext(runtime));
    if (format === 'archive') expect(report.layers[0]!.bitsPerWeight).toBeLessThan(4.8);
  });
});
