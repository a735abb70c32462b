import { join } from 'node:path';
import { expect } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { writeOnnxModel } from '../../../src/engine/formats/onnx/writeOnnxModel';
import { GraphBuilder } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops';
import { test } from '../../support/fixtures';
import { workContext } from '../../support/workContext';

/** Random values: those of a sine would be taken for a transform and left alone. */
function weights(): Uint8Array {
  const random = new SeededRandom(4);
  return new Uint8Array(Float32Array.from({ length: 64 * 64 }, () => random.nextNormal()).buffer);
}

const branchNote = /^The model chooses between branches \(1 If\)/;

test.for([true, false])(
  'a report says that branches were not all run exactly where there are any (%s)',
  async (branches, { folder, runtime }) => {
    const build = new GraphBuilder(operators, 'flagged');
    const x = build.input('x', { dtype: 'float32', shape: [4, 64] });
    const flag = build.input('flag', { dtype: 'bool', shape: [] });
    const product = build.op('MatMul', [x, build.constant({ kind: 'inline', dtype: 'float32', shape: [64, 64], bytes: weights() })]);
    const branch = (name: string, op: string) => {
      const body = build.subgraph(name);
      body.output(body.op(op, [product]));
      return { kind: 'graph', value: body.finish() } as const;
    };
    build.output(
      branches
        ? build.op('If', [flag], { then_branch: branch('yes', 'Tanh'), else_branch: branch('no', 'Neg') })
        : build.op('Where', [flag, product, build.op('Neg', [product])]),
      'y',
    );
    const model = join(folder, 'model.onnx');
    await writeOnnxModel(build.finish(), model);
    const notes: string[] = [];
    const context = { ...workContext(runtime), note: (text: string) => void notes.push(text) };
    await compressModel(
      { kind: 'compress', model, method: 'rtn', parameters: { bits: 8 }, format: 'onnx', out: join(folder, 'out') },
      context,
    );
    expect(notes.filter((note) => branchNote.test(note))).toHaveLength(branches ? 1 : 0);
  },
);

test('a model that needs long inputs is run on long ones', async ({ folder, runtime }) => {
  const build = new GraphBuilder(operators, 'sound');
  const x = build.input('x', { dtype: 'float32', shape: ['batch', 'samples'] });
  // Frames of 64 samples: four samples make none.
  const frames = build.op('Reshape', [x, build.int64([-1, 64])]);
  build.output(build.op('MatMul', [frames, build.constant({ kind: 'inline', dtype: 'float32', shape: [64, 64], bytes: weights() })]), 'y');
  const model = join(folder, 'model.onnx');
  await writeOnnxModel(build.finish(), model);
  const report = await compressModel(
    { kind: 'compress', model, method: 'rtn', parameters: { bits: 8 }, format: 'onnx', out: join(folder, 'out') },
    workContext(runtime),
  );
  expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
});
