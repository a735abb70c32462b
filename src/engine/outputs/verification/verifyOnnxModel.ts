import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '../../../common/random';
import { elementCount, type DType } from '../../../protocol/dtypes';
import type { LatencyReport, VerificationCheck } from '../../../protocol/report';
import { encodeFromFloat32 } from '../../formats/decode';
import { editModel } from '../../formats/onnx/editModel';
import type { RuntimeTensor, Session, SessionOptions } from '../../runtime/types';
import { compareLatency, latencyReport } from './latency';
import { largestDifference, relativeDifference } from './measures';
import { logitTolerance, withExactFile } from './verifyLogits';
import type { VerificationRequest } from './verificationRequest';

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
  request: VerificationRequest,
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly latency: LatencyReport } | undefined> {
  const { source, context } = request;
  const feeds = feedsOf(request);
  if (feeds === undefined) return undefined;
  const original = await context.runtime.createFromFile(source.container.path);
  try {
    const outputs = await outputsOf(original, feeds).catch((error: unknown) => {
      context.note(`The model does not run on random inputs, so only its bytes were checked: ${(error as Error).message}`);
      return undefined;
    });
    return outputs && (await withRunnable(request, (path) => compareWith(original, outputs, feeds, request, path)));
  } finally {
    await original.release();
  }
}

/** Runs an action on the finished file, or on the ONNX model that it stands for. */
async function withRunnable<T>({ folder, written }: VerificationRequest, action: (path: string) => Promise<T>): Promise<T> {
  if (!written.unpackTo) return action(join(folder, written.primary));
  const temporary = await mkdtemp(join(tmpdir(), 'loomweight-verify-'));
  try {
    const path = join(temporary, 'model.onnx');
    await written.unpackTo(path);
    return await action(path);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function compareWith(
  original: Session,
  floatOutputs: readonly Float32Array[],
  feeds: Feeds,
  request: VerificationRequest,
  path: string,
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly latency: LatencyReport }> {
  const { written, context } = request;
  const { runtime } = context;
  const planned = await plannedOutputs(request, feeds);
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
  let exactIsDefault = false;
  await withExactFile(path, async ({ path: exact, sameByDefault }) => {
    exactIsDefault = sameByDefault;
    absolute('outputs-disabled', await run(exact, { optimization: 'disabled' }));
    if (!sameByDefault) absolute('outputs-exact', await run(exact, { optimization: 'all' }));
  });
  const session = await runtime.createFromFile(path, { exactMatMulNBits: false });
  try {
    const outputs = await outputsOf(session, feeds);
    if (exactIsDefault) absolute('outputs-exact', outputs);
    if (written.integerActivations) {
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
    if (!request.trained) {
      const change = Math.max(...planned.map((output, index) => relativeDifference(floatOutputs[index] as Float32Array, output)));
      context.note(`On random inputs the outputs differ by ${(change * 100).toPrecision(3)} % from those of the float model.`);
    }
    return { checks, latency: latencyReport(await compareLatency(original, session, feeds), freeLength, 'One run') };
  } finally {
    await session.release();
  }
}

/**
 * Outputs of the source with its planned values in place of its own. Where the runtime takes their type as an input, they are fed to the graph without them: nothing
 * the size of the model is written or loaded.
 */
async function plannedOutputs({ source, planned, context }: VerificationRequest, feeds: Feeds): Promise<readonly Float32Array[]> {
  const folder = await mkdtemp(join(tmpdir(), 'loomweight-verify-'));
  const editor = await editModel(source.container.path);
  try {
    const values: Record<string, RuntimeTensor> = {};
    for (const { name } of planned.entries()) {
      const { dtype, shape } = source.tensors.get(name)!.entry;
      const floats = await planned.storedValues(name);
      if (dtype === 'float32') values[name] = { dtype, shape, data: floats };
      else if (dtype === 'float16') values[name] = { dtype, shape, data: new Uint16Array(encodeFromFloat32(dtype, floats).buffer) };
      else editor.replaceInitializer(name, { dtype, shape, bytes: encodeFromFloat32(dtype, floats) });
      if (values[name]) editor.emptyWeight(name);
    }
    await editor.write(join(folder, 'planned.onnx'));
    const session = await context.runtime.createFromFile(join(folder, 'planned.onnx'));
    try {
      return await outputsOf(session, { ...feeds, ...values });
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
function feedsOf({ source, context: { seed } }: VerificationRequest): Feeds | undefined {
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
