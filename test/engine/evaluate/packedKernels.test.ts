import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { evaluateModel } from '../../../src/engine/evaluate/evaluateModel';
import { estimateEvaluate } from '../../../src/engine/evaluate/estimateEvaluate';
import { planOnnxScoring, type OnnxScoringTask } from '../../../src/engine/evaluate/onnxScoringPlan';
import { editModel } from '../../../src/engine/formats/onnx/editModel';
import { createRuntime } from '../../../src/engine/runtime/runtime';
import type { Runtime } from '../../../src/engine/runtime/types';
import type { OutputFormat } from '../../../src/protocol/jobs';
import { loomBase } from '../../support/loomGguf';
import { workContext } from '../../support/workContext';

const text = { text: resolve('test/fixtures/text/eval-play.txt'), window: 256 } as const;
/** 4,096 tokens: enough for dequantising to pay. */
const long = { ...text, limit: 16 } as const;
const short = { ...text, limit: 15 } as const;
let runtime: Runtime;
let folder: string;

async function compressed(format: OutputFormat, bits: number, groupSize = 32): Promise<string> {
  const out = join(folder, `${format}-${bits}-${groupSize}`);
  const parameters = { bits, groupSize };
  const report = await compressModel({ kind: 'compress', model: loomBase, method: 'rtn', parameters, format, out }, workContext(runtime));
  return join(out, report.primary);
}

/** A copy of a model with another accuracy level in every packed product, and the files beside it. */
async function withLevel(model: string, level: number): Promise<string> {
  const target = join(folder, `level-${level}`, 'onnx');
  cpSync(resolve(model, '..', '..'), resolve(target, '..'), { recursive: true });
  const path = join(target, 'edited.onnx');
  const editor = await editModel(model);
  for (const { opType, attribute } of editor.graph.node)
    if (opType === 'MatMulNBits') attribute.find(({ name }) => name === 'accuracy_level')!.i = BigInt(level);
  await editor.write(path);
  await editor.close();
  return path;
}

const evaluate = (model: string, spec: typeof long | typeof short, memoryLimit?: number) =>
  evaluateModel({ kind: 'evaluate', model, ...spec }, workContext(runtime, { memoryLimit }));

beforeAll(async () => {
  runtime = await createRuntime({ provider: 'cpu', threads: 2 });
  folder = mkdtempSync(join(tmpdir(), 'loomweight-packed-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('loom-base at 2 bits as onnx-fast', () => {
  let model: string;
  let exact: string;
  beforeAll(async () => {
    model = await compressed('onnx-fast', 2);
    exact = await withLevel(model, 1);
  }, 180_000);

  test('a long text runs through dequantised weights: the loss of the same codes as onnx, and the report says so', async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('loomweight-dequantized-'));
    const [fast, portable] = [await evaluate(model, long), await evaluate(await compressed('onnx', 2), long)];
    expect(Math.abs(fast.loss / portable.loss - 1)).toBeLessThan(1e-5);
    expect(fast.choices.join('\n')).toMatch(/28 matrices are dequantised first.*float32 where the file allows int8/);
    expect(portable.choices.join('\n')).toMatch(/whole ONNX graph with the weights as stored/);
    const after = readdirSync(tmpdir()).filter((name) => name.startsWith('loomweight-dequantized-'));
    expect(after.filter((name) => !before.includes(name))).toEqual([]);
  }, 180_000);

  test('a short text runs the kernels of the file, whose activations are rounded', async () => {
    const [asStored, unrounded] = [await evaluate(model, short), await evaluate(exact, short)];
    expect(asStored.choices.join('\n')).toMatch(/whole ONNX graph with the weights as stored/);
    expect(asStored.choices.join('\n')).toMatch(/28 products have accuracy level 4/);
    expect(unrounded.choices.join('\n')).not.toMatch(/accuracy level/);
    expect(Math.abs(asStored.loss - unrounded.loss)).toBeGreaterThan(1e-6);
    expect(Math.abs(asStored.loss - unrounded.loss)).toBeLessThan(1e-2);
  }, 180_000);

  test('where both ways are exact they give the same, and memory decides between them', async () => {
    const { hostMemoryBytes: all, diskBytes } = await estimateEvaluate(
      { kind: 'evaluate', model: exact, ...long },
      { provider: 'cpu', memoryLimit: undefined },
    );
    expect(diskBytes).toBeGreaterThan(2e6);
    const fast = await evaluate(exact, long);
    const kept = await evaluate(exact, long, all - 1);
    expect(fast.choices.join('\n')).toMatch(/28 matrices are dequantised first[^:]*: the same weights$/m);
    expect(kept.choices.join('\n')).toMatch(/multiplied as stored: dequantised ones would be faster for this text, but need .*MiB/);
    expect(Math.abs(fast.loss / kept.loss - 1)).toBeLessThan(1e-5);
    await expect(evaluate(exact, long, 100e6)).rejects.toMatchObject({ code: 'insufficient-memory' });
  }, 180_000);

  test('on another provider nothing is dequantised', async () => {
    const spec = { kind: 'evaluate', model, ...long } as const;
    const estimate = await estimateEvaluate(spec, { provider: 'cuda', memoryLimit: undefined });
    expect(estimate.diskBytes).toBe(0);
  });
});

test('kernels that are fast keep their packed weights: 4 and 8 bits, 2 bits in groups of 128', async () => {
  for (const [bits, group] of [
    [4, 32],
    [8, 32],
    [2, 128],
  ] as const) {
    const report = await evaluate(await compressed('onnx-fast', bits, group), long);
    expect(report.choices.join('\n')).toMatch(/whole ONNX graph with the weights as stored/);
    expect(report.choices.join('\n')).not.toMatch(/dequantised/);
  }
}, 180_000);

describe('the plan', () => {
  const sizes = { vocabularySize: 4096, hiddenSize: 256, intermediateSize: 688, heads: 8, layers: 4 };
  const task: OnnxScoringTask = {
    window: 512,
    count: 64,
    fixedBytes: 1e8,
    fileBytes: 30e6,
    loadedBytes: 30e6,
    packed: { slow: { matrices: 3, packedBytes: 20e6, floatBytes: 320e6 }, rounding: { products: 4, slow: 3 } },
  };

  test('counts the floats in place of the codes', () => {
    const plan = planOnnxScoring(sizes, task, 2e9);
    const none = planOnnxScoring(
      sizes,
      { ...task, packed: { slow: { matrices: 0, packedBytes: 0, floatBytes: 0 }, rounding: { products: 0, slow: 0 } } },
      2e9,
    );
    expect(plan).toMatchObject({ dequantize: true, windowsPerRun: none.windowsPerRun, diskBytes: 10e6 });
    // Four times the codes are not loaded; the floats and, while they are made, the codes are.
    expect(plan.hostMemoryBytes - none.hostMemoryBytes).toBe(320e6 + 20e6 - 4 * 20e6);
    expect(plan.choices).toHaveLength(2);
    expect(plan.choices[1]).toMatch(/^one product has accuracy level 4/);
  });

  test('keeps the packed kernels where floats do not fit, with fewer windows where those do not fit either', () => {
    const { hostMemoryBytes } = planOnnxScoring(sizes, task, 2e9);
    const kept = planOnnxScoring(sizes, task, hostMemoryBytes - 1);
    expect(kept).toMatchObject({ dequantize: false, windowsPerRun: 2, diskBytes: 0 });
    expect(kept.choices.join()).toMatch(/would be faster/);
    const tight = planOnnxScoring(sizes, task, kept.hostMemoryBytes - 1);
    expect(tight).toMatchObject({ dequantize: false, windowsPerRun: 1 });
    expect(() => planOnnxScoring(sizes, task, tight.hostMemoryBytes - 1)).toThrow(/short/);
  });

  test('does not dequantise for a short text', () => {
    expect(planOnnxScoring(sizes, { ...task, count: 7 }, 2e9)).toMatchObject({ dequantize: false });
    expect(planOnnxScoring(sizes, { ...task, count: 7 }, 2e9).choices.join()).not.toMatch(/faster/);
    expect(planOnnxScoring(sizes, { ...task, count: 8 }, 2e9)).toMatchObject({ dequantize: true });
  });
});
