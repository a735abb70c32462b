import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { encodeFromFloat32 } from '../../../src/engine/formats/decode';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops';
import type { Runtime } from '../../../src/engine/runtime/types';
import { test } from '../../support/fixtures';
import { plainOrt } from '../../support/ort';
import { runModel } from '../../support/runGraph';
import { workContext } from '../../support/workContext';

const [rows, inner, outer] = [16, 64, 32];

/** The product of the input with a weight of the given size, the input to whatever comes last. */
function product(build: GraphBuilder, size: number): Value {
  const random = new SeededRandom(7);
  const values = Float32Array.from({ length: inner * outer }, () => size * random.nextNormal());
  const weight = build.constant(
    { kind: 'inline', dtype: 'float32', shape: [inner, outer], bytes: encodeFromFloat32('float32', values) },
    'w',
  );
  return build.op('MatMul', [build.input('x', { dtype: 'float32', shape: [rows, inner] }), weight]);
}

/** Compresses a model and runs source and result with the plain runtime on inputs of this test. */
async function compressed(make: (build: GraphBuilder) => Value, bits: number, folder: string, runtime: Runtime) {
  const build = new GraphBuilder(operators, 'model');
  build.output(make(build), 'y');
  const model = join(folder, 'model.onnx');
  writeFileSync(model, encodeModel(build.finish()));
  const notes: string[] = [];
  const out = join(folder, 'out');
  const spec = { kind: 'compress', model, method: 'rtn', parameters: { bits }, format: 'onnx-packed', out } as const;
  const report = await compressModel(spec, { ...workContext(runtime), note: (text) => notes.push(text) });
  const random = new SeededRandom(99);
  const x = new plainOrt.Tensor(
    'float32',
    Float32Array.from({ length: rows * inner }, () => random.nextNormal()),
    [rows, inner],
  );
  const values = async (path: string) => Array.from((await runModel(path, { x }))['y']!.data as ArrayLike<number | bigint>, Number);
  return { verification: report.verification, notes, before: await values(model), after: await values(join(out, report.primary)) };
}

const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
const relative = (before: readonly number[], after: readonly number[]) =>
  norm(before.map((value, index) => value - after[index]!)) / norm(before);

describe('the change that a report names', () => {
  test('is that of small outputs that are not negative', async ({ folder, runtime }) => {
    const { verification, before, after } = await compressed((build) => build.op('Relu', [product(build, 1e-3)]), 1, folder, runtime);
    expect(verification).toMatchObject({ passed: true, verdict: 'changed', change: { limit: 0.5 } });
    expect(verification.change!.measured / relative(before, after)).toBeGreaterThan(0.8);
    expect(verification.change!.measured / relative(before, after)).toBeLessThan(1.25);
  });

  test.for(['Sigmoid', 'If'])('of probabilities close to 0 is not scaled (%s)', async (kind, { folder, runtime }) => {
    const scores = (build: GraphBuilder) => build.op('Add', [product(build, 0.1), build.float32(-8)]);
    const make = (build: GraphBuilder): Value => {
      if (kind === 'Sigmoid') return build.op('Sigmoid', [scores(build)]);
      const value = scores(build);
      const branch = (name: string) => {
        const body = build.subgraph(name);
        body.output(body.op('Sigmoid', [value]), `${name}.y`);
        return { kind: 'graph', value: body.finish() } as const;
      };
      const yes = build.constant({ kind: 'inline', dtype: 'bool', shape: [], bytes: Uint8Array.of(1) }, 'yes');
      return build.op('If', [yes], { then_branch: branch('then'), else_branch: branch('else') });
    };
    const { verification, notes, before, after } = await compressed(make, 1, folder, runtime);
    const own = relative(before, after);
    expect(own).toBeGreaterThan(0.5);
    expect(verification.change!.measured / own).toBeGreaterThan(0.6);
    expect(verification.change!.measured / own).toBeLessThan(1.6);
    expect(verification).toMatchObject({ passed: true, verdict: 'passed' });
    expect(notes.join(' ')).toMatch(/probabilities close to 0/);
  });

  test('of classes is the share that became others', async ({ folder, runtime }) => {
    const { verification, before, after } = await compressed(
      (build) => build.op('ArgMax', [product(build, 0.1)], { axis: int(1) }),
      1,
      folder,
      runtime,
    );
    expect(before.filter((value, index) => value !== after[index]).length / before.length).toBeGreaterThan(0.25);
    expect(verification).toMatchObject({
      passed: true,
      verdict: 'changed',
      scope: 'whole',
      change: { unit: 'share of values', limit: 0.25 },
    });
    expect(verification.change!.measured).toBeGreaterThan(0.25);
  });

  test.for(['not finite', 'constant'])('is that of the weights where all outputs are %s', async (kind, { folder, runtime }) => {
    const make = (build: GraphBuilder): Value => {
      const sizes = build.op('Abs', [product(build, 0.1)]);
      return kind === 'constant' ? build.op('Min', [sizes, build.float32(0)]) : build.op('Log', [build.op('Neg', [sizes])]);
    };
    const { verification, notes } = await compressed(make, 8, folder, runtime);
    expect(verification).toMatchObject({ passed: true, verdict: 'passed', scope: 'bytes', change: { of: 'weights' } });
    expect(verification.checks.map(({ name }) => name)).toContain('outputs-disabled');
    expect(notes.join(' ')).toMatch(/No output shows anything/);
  });
});
