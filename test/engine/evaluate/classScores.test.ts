import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { readGraph } from '../../../src/engine/formats/onnx/readGraph';
import { evaluateModel } from '../../../src/engine/evaluate/evaluateModel';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Attributes, Value } from '../../../src/engine/graph/graph';
import { finalActivation } from '../../../src/engine/graph/passes/finalActivation';
import { inlineGraph } from '../../../src/engine/graph/passes/inline';
import { operators } from '../../../src/engine/ops/index';
import { encodeNpy } from '../../support/encodeNpy';
import { openRuntime, temporaryFolder } from '../../support/fixtures';
import { onnxFile } from '../../support/onnxFixtures';
import { digitsSpec, trainWith } from '../../support/trainDigits';
import { workContext } from '../../support/workContext';

const runtime = await openRuntime();
const folder = temporaryFolder();
const digitsData = join(onnxFile('digits-mlp'), '..', 'data');

/** The digits network with more operators behind its logits. */
async function digitsWith(name: string, extend: (build: GraphBuilder, logits: Value) => Value): Promise<string> {
  const graph = await readGraph(onnxFile('digits-mlp'), { operators, externalFrom: Infinity });
  const build = new GraphBuilder(operators, name, graph.opsets['']);
  const inputs = graph.inputs.filter((value) => !graph.constants.has(value));
  const made = inlineGraph(build, graph, new Map(inputs.map((value) => [value.name, build.input(value.name, value.type)])));
  build.output(extend(build, made.get(graph.outputs[0]!.name)!), 'scores');
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, encodeModel(build.finish()));
  return path;
}

const softmax = (build: GraphBuilder, logits: Value): Value => build.op('Softmax', [logits], { axis: int(1) });
const evaluateDigits = (model: string, outputs?: 'logits' | 'probabilities') =>
  evaluateModel({ kind: 'evaluate', model, data: digitsData, ...(outputs && { outputs }) }, workContext(runtime));

describe('outputs of classes', () => {
  // PyTorch gives the logits of this network accuracy 0.9778 and cross-entropy 0.0853 on these samples.
  test.each([
    ['softmax', softmax, 'is a softmax: used as probabilities'],
    [
      'softmax-then-shape',
      (build: GraphBuilder, logits: Value) => build.op('Reshape', [build.op('Identity', [softmax(build, logits)]), build.int64([-1, 10])]),
      'is a softmax: used as probabilities',
    ],
    ['log-softmax', (build: GraphBuilder, logits: Value) => build.op('LogSoftmax', [logits], { axis: int(1) }), 'is a log-softmax'],
    // A softmax in parts, as older exporters write it: only its values show what it is.
    [
      'parts',
      (build: GraphBuilder, logits: Value) => {
        const powers = build.op('Exp', [logits]);
        return build.op('Div', [powers, build.op('ReduceSum', [powers, build.int64([1])], { keepdims: int(1) })]);
      },
      'rows that sum to 1: used as probabilities',
    ],
    ['sigmoids', (build: GraphBuilder, logits: Value) => build.op('Sigmoid', [logits]), 'logits of its sigmoids'],
  ] as const)('%s', async (name, extend, says) => {
    const report = await evaluateDigits(await digitsWith(name, extend));
    expect(report.value).toBeCloseTo(0.9778, 4);
    expect(report.loss).toBeCloseTo(0.0853, 4);
    expect(report.choices.join('\n')).toContain(says);
  });

  test('the user decides', async () => {
    const path = await digitsWith('asked', softmax);
    expect((await evaluateDigits(path, 'logits')).loss).toBeGreaterThan(1);
    expect((await evaluateDigits(path, 'probabilities')).loss).toBeCloseTo(0.0853, 4);
    await expect(evaluateDigits(onnxFile('digits-mlp'), 'probabilities')).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  test('training a network that ends in a softmax is training its logits', async () => {
    const spec = digitsSpec({ steps: 12, start: 'trained', rate: 1e-3, evaluateEvery: 12 });
    const [logits, probabilities] = [
      await trainWith({ ...spec, model: await digitsWith('plain', (build, value) => build.op('Identity', [value])) }, runtime),
      await trainWith({ ...spec, model: await digitsWith('ends-in-softmax', softmax) }, runtime),
    ];
    expect(probabilities.curve.map(({ loss }) => loss)).toEqual(logits.curve.map(({ loss }) => loss));
    expect(probabilities.evaluations[0]!.loss).toBeCloseTo(logits.evaluations[0]!.loss, 6);
    expect(probabilities.evaluations[0]!.value).toBe(logits.evaluations[0]!.value);
  });
});

describe('a single output', () => {
  const data = join(folder, 'binary');
  mkdirSync(data);
  const random = new SeededRandom(3);
  const inputs = Float32Array.from({ length: 100 }, () => 2 * random.nextNormal());
  const labels = BigInt64Array.from(inputs, (value) => (value + random.nextNormal() > 0 ? 1n : 0n));
  writeFileSync(join(data, 'test-x.npy'), encodeNpy('float32', [100, 1], new Uint8Array(inputs.buffer)));
  writeFileSync(join(data, 'test-label.npy'), encodeNpy('int64', [100], new Uint8Array(labels.buffer)));

  test.each([true, false])('ends in a sigmoid: %s', async (ends) => {
    const build = new GraphBuilder(operators, 'binary', 17);
    const x = build.input('x', { dtype: 'float32', shape: ['batch', 1] });
    build.output(build.op(ends ? 'Sigmoid' : 'Identity', [x]), 'y');
    const path = join(folder, `binary-${ends}.onnx`);
    writeFileSync(path, encodeModel(build.finish()));
    const report = await evaluateModel({ kind: 'evaluate', model: path, data }, workContext(runtime));
    const losses = Array.from(inputs, (z, index) => {
      const probability = 1 / (1 + Math.exp(-z));
      return -Math.log(labels[index] === 1n ? probability : 1 - probability);
    });
    expect(report.loss).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / 100, 5);
    expect(report.choices.join('\n')).toContain(ends ? 'is a sigmoid: used as probabilities' : 'used as logits');
  });
});

describe('what is not over the classes', () => {
  const graphOf = (op: string, shape: readonly (number | string)[], attributes: Attributes, opset = 17) => {
    const build = new GraphBuilder(operators, 'attention', opset);
    build.output(build.op(op, [build.input('x', { dtype: 'float32', shape })], attributes), 'y');
    return build.finish();
  };
  test.each([
    ['Softmax', ['batch', 4, 6], { axis: int(1) }, undefined],
    ['Softmax', ['batch', 4, 6], { axis: int(-1) }, undefined],
    ['Softmax', ['batch', 4, 1, 1], { axis: int(1) }, 'softmax'],
    ['Softmax', ['batch', 1, 4], { axis: int(-1) }, 'softmax'],
    ['LogSoftmax', ['batch', 4], {}, 'log-softmax'],
    ['Relu', ['batch', 4], {}, undefined],
  ] as const)('%s of %j', (op, shape, attributes, kind) => {
    expect(finalActivation(graphOf(op, shape, attributes))?.kind).toBe(kind);
  });
});
