import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkSplit, canConvert, sliceSamples, type DataSplit } from '../../../../src/engine/evaluate/data/dataSplit';
import { readTable } from '../../../../src/engine/evaluate/data/readTable';
import { tableSplit } from '../../../../src/engine/evaluate/data/tableSplit';
import { evaluateOnData } from '../../../../src/engine/evaluate/evaluateData';
import { binaryAuc, classAccuracy } from '../../../../src/engine/evaluate/metrics';
import type { RuntimeTensor, Session } from '../../../../src/engine/runtime/types';

const quiet = { signal: undefined, progress: () => undefined };

describe('metrics', () => {
  test('accuracy and cross-entropy match a hand calculation', () => {
    const metric = classAccuracy(2);
    metric.add([0, Math.log(3), 2, 2], [1, 1], 0); // probabilities 1/4, 3/4; 1/2, 1/2 (the first class wins the tie)
    expect(metric.result().value).toBe(0.5);
    expect(metric.result().loss).toBeCloseTo((Math.log(4 / 3) + Math.log(2)) / 2, 12);
  });

  test('AUC counts ties as half', () => {
    const metric = binaryAuc();
    metric.add([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0); // the example of scikit-learn's documentation: 0.75
    expect(metric.result().value).toBe(0.75);
    const tied = binaryAuc();
    tied.add([1, 1], [0, 1], 0);
    expect(tied.result().value).toBe(0.5);
  });

  test('log loss is exact for large logits', () => {
    const metric = binaryAuc();
    metric.add([800, -800], [0, 1], 0);
    expect(metric.result().loss).toBe(800);
  });

  test.each([
    [() => classAccuracy(3).add([1, 2, 3], [3], 7), 'sample 7 has 3'],
    [() => classAccuracy(2).add([NaN, 1], [0], 4), 'sample 4 is NaN'],
    [() => binaryAuc().add([1], [2], 0), 'must be 0 or 1'],
    [() => (({ add, result }) => (add([1, 2], [1, 1], 0), result()))(binaryAuc()), 'both classes'],
  ])('bad values are reported with their sample', (action, message) => expect(action).toThrow(message));
});

const split = (inputs: Record<string, RuntimeTensor>, labels: readonly number[]): DataSplit => ({
  description: "folder data, split 'test'",
  samples: labels.length,
  inputs: new Map(Object.entries(inputs)),
  labels: { dtype: 'uint8', shape: [labels.length], data: Uint8Array.from(labels) },
});
const array = (shape: readonly number[], data: RuntimeTensor['data'], dtype: RuntimeTensor['dtype'] = 'float32'): RuntimeTensor => ({
  dtype,
  shape,
  data,
});

describe('checks before anything runs', () => {
  const inputs = [{ name: 'x', dtype: 'float32', shape: ['batch', 3] }];
  test.each([
    [split({ y: array([1, 3], new Float32Array(3)) }, [0]), "input 'x' has no data in folder data, split 'test', which has data for: y"],
    [split({ x: array([1, 4], new Float32Array(4)) }, [0]), "takes [batch, 3], but the data in folder data, split 'test' has shape [1, 4]"],
    [split({ x: array([1, 3], new Float64Array(3), 'int64') }, [0]), 'cannot be converted without loss'],
    [split({ x: array([2, 3], new Float32Array(6)) }, [0]), 'has 2 samples, but the labels have 1'],
    [split({ x: array([0, 3], new Float32Array(0)) }, []), 'has no samples'],
  ])('%#', (data, message) => expect(() => checkSplit(data, inputs)).toThrow(message));

  test('inputs that share an axis must agree', () => {
    const shared = [
      { name: 'a', dtype: 'float32', shape: ['batch', 'length'] },
      { name: 'b', dtype: 'float32', shape: ['batch', 'length'] },
    ];
    const data = split({ a: array([1, 2], new Float32Array(2)), b: array([1, 3], new Float32Array(3)) }, [0]);
    expect(() => checkSplit(data, shared)).toThrow("share the axis 'length'");
  });

  test.each([
    ['uint8', 'float32', true],
    ['int16', 'int64', true],
    ['float16', 'float32', true],
    ['float32', 'float16', false],
    ['int64', 'float32', false],
    ['float32', 'int64', false],
    ['int64', 'int32', false],
  ] as const)('%s to %s: %s', (from, to, possible) => expect(canConvert(from, to)).toBe(possible));

  test('slices are widened', () => {
    expect(sliceSamples(array([3], Uint16Array.of(0x3c00, 0xc000, 0), 'float16'), 1, 2, 'float32')).toEqual(
      array([2], Float32Array.of(-2, 0)),
    );
    expect(sliceSamples(array([2, 1], Int16Array.of(-5, 6), 'int16'), 0, 1, 'int64')).toEqual(
      array([1, 1], BigInt64Array.of(-5n), 'int64'),
    );
  });
});

describe('batches', () => {
  /** A model of two classes whose logits are (0, x). */
  const session = (sizes: number[]): Session => ({
    inputNames: ['x'],
    outputNames: ['logits'],
    release: () => Promise.resolve(),
    run: ({ x }) => {
      sizes.push(x!.shape[0]!);
      return Promise.resolve({
        logits: array([x!.shape[0]!, 2], Float32Array.from(Array.from(x!.data as Float32Array).flatMap((value) => [0, value]))),
      });
    },
  });
  const data = split({ x: array([5, 1], Float32Array.of(1, -1, 1, 1, -1)) }, [1, 0, 0, 1, 0]);
  const graph = (batch: number | string) => ({
    inputs: [{ name: 'x', dtype: 'float32', shape: [batch, 1] }],
    outputs: [{ name: 'logits', dtype: 'float32', shape: [batch, 2] }],
  });

  test('the value does not depend on the batch, fixed or free', async () => {
    const free: number[] = [];
    const fixed: number[] = [];
    const one = await evaluateOnData(session(free), graph('batch'), data, { batch: 2 }, quiet);
    const other = await evaluateOnData(session(fixed), graph(2), data, {}, quiet);
    expect(one).toEqual(other);
    expect(one).toMatchObject({ metric: 'accuracy', value: 0.8, samples: 5, reading: "output 'logits' used as logits" });
    expect([free, fixed]).toEqual([
      [2, 2, 1],
      [2, 2, 2],
    ]);
  });

  test('a fixed batch larger than the data is refused', async () => {
    await expect(evaluateOnData(session([]), graph(8), data, {}, quiet)).rejects.toThrow('takes batches of 8 samples');
  });
});

describe('tables', () => {
  let folder: string;
  beforeAll(async () => void (folder = await mkdtemp(path.join(tmpdir(), 'loomweight-table-'))));
  afterAll(() => rm(folder, { recursive: true }));
  const table = async (text: string | Buffer) => {
    const file = path.join(folder, 'table.csv');
    await writeFile(file, text);
    return readTable(file);
  };
  const inputs = [
    { name: 'x', dtype: 'float32', shape: ['batch', 2] },
    { name: 'id', dtype: 'int64', shape: ['batch'] },
  ];

  test('columns are mapped, split and stacked', async () => {
    const read = await table('x0,x1,id,target,part\n1,2.5,7,0,test\n3,"4",8,1,train\n5,6,9,1,test\n');
    const made = tableSplit(read, 't.csv', 'test', inputs, { x: 'x?', label: 'target', split: 'part' });
    expect(made.samples).toBe(2);
    expect(made.inputs.get('x')).toEqual(array([2, 2], Float64Array.of(1, 2.5, 5, 6), 'float64'));
    expect(made.inputs.get('id')).toEqual(array([2], BigInt64Array.of(7n, 9n), 'int64'));
    expect(Array.from(made.labels.data as Float64Array)).toEqual([0, 1]);
    expect(() => checkSplit(made, inputs)).not.toThrow();
  });

  test.each([
    ['x0,x1,id,label\n1,,3,0\n', {}, "Row 1 of column 'x1'"],
    ['x0,x1,id\n1,2,3\n', {}, "has no column 'label'"],
    ['x0,x1,id,label\n1,2,3.5,0\n', {}, 'takes integers, but the table has 3.5'],
    ['x0,x1,id,label\n1,2,3,0\n', { y: 'x0' }, "names 'y', but the graph's inputs are x, id"],
  ])('%j is refused', async (text, map, message) => {
    const read = await table(text);
    expect(() => tableSplit(read, 't.csv', 'test', inputs, { x: 'x?', ...map })).toThrow(message);
  });

  test.each([
    ['a,b\n1\n', 'is not a CSV table'],
    ['', 'is empty'],
    ['a,a\n1,2\n', "two columns named 'a'"],
    [Buffer.from([0x61, 0xff, 0x0a]), 'is not a CSV table'],
    ['PAR1 but not really', 'cannot be read as a Parquet table'],
  ])('broken file %#', async (text, message) => {
    await expect(table(text)).rejects.toMatchObject({ code: 'malformed-file', message: expect.stringContaining(message) as string });
  });
});
