import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '../../../common/random';
import { elementCount, type DType } from '../../../protocol/dtypes';
import type { LatencyReport, VerificationCheck } from '../../../protocol/report';
import { encodeFromFloat32 } from '../../formats/decode';
import { editModel } from '../../formats/onnx/editModel';
import { transposeInto } from '../../kernels/host/transpose';
import type { RuntimeTensor, Session, SessionOptions } from '../../runtime/types';
import { compareLatency, latencyReport } from './latency';
import { largestDifference, relativeDifference } from './measures';
import { logitTolerance, withExactFile } from './verifyLogits';
import type { VerificationContext } from './verificationContext';

/** Largest relative difference of outputs where kernels round activations to int8 (measured: up to 9e-3 a layer). */
const integerTolerance = 0.1;
/** Length taken for axes whose length is free. */
const freeLength = 4;

type Feeds = Readonly<Record<string, RuntimeTensor>>;

/**
 * Runs an ONNX model with the planned weights and its compressed copy on the same random inputs, at the runtime's optimisation levels `disabled` and
 * `all`, and with the runtime's default settings. Undefined where the model cannot be fed: its scope is then `bytes`.
 */
export async function verifyOnnxModel(
  context: VerificationContext,
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly latency: LatencyReport } | undefined> {
  const { source, runtime } = context;
  const feeds = feedsOf(context);
  if (feeds === undefined) return undefined;
  const original = await runtime.createFromFile(source.container.path);
  try {
    const outputs = await outputsOf(original, feeds).catch((error: unknown) => {
      context.note(`The model does not run on random inputs, so only its bytes were checked: ${(error as Error).message}`);
      return undefined;
    });
    return outputs && (await withRunnable(context, (path) => compareWith(original, outputs, feeds, context, path)));
  } finally {
    await original.release();
  }
}

/** Runs an action on the finished file, or on the ONNX model that it stands for. */
async function withRunnable<T>({ folder, result }: VerificationContext, action: (path: string) => Promise<T>): Promise<T> {
  if (!result.unpackTo) return action(join(folder, result.primary));
  const temporary = await mkdtemp(join(tmpdir(), 'loomweight-verify-'));
  try {
    const path = join(temporary, 'model.onnx');
    await result.unpackTo(path);
    return await action(path);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function compareWith(
  original: Session,
  floatOutputs: readonly Float32Array[],
  feeds: Feeds,
  context: VerificationContext,
  path: string,
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly latency: LatencyReport }> {
  const { runtime, result } = context;
  const planned = await plannedOutputs(context, feeds);
  const run = async (file: string, options: SessionOptions): Promise<readonly Float32Array[]> => {
    const session = await runtime.createFromFile(file, options);
    try {
      return await outputsOf(session, feeds);
    } finally {
      await session.release();
    }
  };
  const checks: VerificationCheck[] = [];
  const absolute = (name: string, outputs: readonly Float32Array[]): void => {
    const measured = Math.max(...planned.map((output, index) => largestDifference(output, outputs[index] as Float32Array)));
    checks.push({ name, passed: measured <= logitTolerance, measured, limit: logitTolerance, unit: 'absolute' });
  };
  await withExactFile(path, async (exact) => {
    absolute('outputs-disabled', await run(exact, { optimization: 'disabled' }));
    absolute('outputs-exact', await run(exact, { optimization: 'all' }));
  });
  const session = await runtime.createFromFile(path, { exactMatMulNBits: false });
  try {
    const outputs = await outputsOf(session, feeds);
    if (result.integerActivations) {
      const measured = Math.max(...planned.map((output, index) => relativeDifference(output, outputs[index] as Float32Array)));
      const note = "With the runtime's default settings, which round activations to int8.";
      checks.push({
        name: 'outputs-default',
        passed: measured <= integerTolerance,
        measured,
        limit: integerTolerance,
        unit: 'relative',
        note,
      });
    } else absolute('outputs-default', outputs);
    if (context.sourceIsFloat !== false) {
      const change = Math.max(...planned.map((output, index) => relativeDifference(floatOutputs[index] as Float32Array, output)));
      context.note(`On random inputs the outputs change by ${(change * 100).toPrecision(3)} % against the float model.`);
    }
    return { checks, latency: latencyReport(await compareLatency(original, session, feeds), freeLength, 'One run') };
  } finally {
    await session.release();
  }
}

/** Outputs of the source with its compressed weights replaced by their dequantised values. */
async function plannedOutputs({ source, plan, result, runtime }: VerificationContext, feeds: Feeds): Promise<readonly Float32Array[]> {
  const folder = await mkdtemp(join(tmpdir(), 'loomweight-verify-'));
  const editor = await editModel(source.container.path);
  try {
    for (const [name, { tensor }] of plan) {
      const { entry, transposed } = source.tensors.get(name)!;
      const [rows, columns] = tensor.shape;
      const weights = await result.readWeights(name);
      const ordered = transposed ? transposeInto(weights, columns, 0, rows, new Float32Array(weights.length)) : weights;
      editor.replaceInitializer(name, { dtype: entry.dtype, shape: entry.shape, bytes: encodeFromFloat32(entry.dtype, ordered) });
    }
    await editor.write(join(folder, 'planned.onnx'));
    const session = await runtime.createFromFile(join(folder, 'planned.onnx'));
    try {
      return await outputsOf(session, feeds);
    } finally {
      await session.release();
    }
  } finally {
    await editor.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function outputsOf(session: Session, feeds: Feeds): Promise<readonly Float32Array[]> {
  const results = await session.run(feeds);
  return session.outputNames.map((name) => {
    const { data } = results[name] as RuntimeTensor;
    return data instanceof Float32Array ? data : Float32Array.from(data as ArrayLike<number | bigint>, Number);
  });
}

/** Seeded inputs of the declared shapes: normal numbers for floats, 0 and 1 for whole numbers. */
function feedsOf({ source, seed }: VerificationContext): Feeds | undefined {
  const random = new SeededRandom(seed + 1);
  const feeds: Record<string, RuntimeTensor> = {};
  for (const { name, dtype, shape } of source.container.graph?.inputs ?? []) {
    const lengths = shape.map((length) => (typeof length === 'number' && length > 0 ? length : freeLength));
    const count = elementCount(lengths);
    const data =
      dtype === 'float32'
        ? Float32Array.from({ length: count }, () => random.nextNormal())
        : dtype === 'int64'
          ? BigInt64Array.from({ length: count }, () => BigInt(random.nextBelow(2)))
          : dtype === 'int32'
            ? Int32Array.from({ length: count }, () => random.nextBelow(2))
            : undefined;
    if (data === undefined) return undefined;
    feeds[name] = { dtype: dtype as DType, shape: lengths, data };
  }
  return feeds;
}
