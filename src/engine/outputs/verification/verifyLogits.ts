import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { LatencyReport, VerificationCheck } from '../../../protocol/report';
import { findArchitecture } from '../../architectures';
import type { ExpectedTensor } from '../../architectures/architecture';
import { floatWeights } from '../../architectures/decoder/floatWeights';
import { editModel } from '../../formats/onnx/editModel';
import { openOnnx } from '../../formats/onnx/openOnnx';
import { containerWeights } from '../../models/decoderWeights';
import type { SourceDecoder } from '../../models/modelSource';
import { openContainer } from '../../models/openContainer';
import type { WeightReader } from '../../models/weightReader';
import { plannedWeights } from '../planned/plannedWeights';
import type { RuntimeTensor, Session, SessionOptions } from '../../runtime/types';
import { compareLatency, latencyReport } from './latency';
import { largestDifference, meanDivergence } from './measures';
import { languageModelFeeds, sampleIds } from './sampleInputs';
import type { VerificationRequest } from './verificationRequest';

/** Limits of the design: absolute difference of logits, and nats where activations are rounded to int8. */
export const logitTolerance = 1e-3;
export const divergenceTolerance = 1e-2;

type Feeds = Readonly<Record<string, RuntimeTensor>>;

/**
 * Runs the whole model on a fixed sample: the reference is our own graph with the planned weights; the finished file must give its logits at the
 * runtime's optimisation levels `disabled` and `all` with exact kernels, and stay close in distribution with the runtime's default settings.
 */
export async function verifyLogits(
  request: VerificationRequest,
  decoder: SourceDecoder,
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly latency: LatencyReport | undefined }> {
  const { context, source, trained } = request;
  const { architecture, config } = decoder;
  context.progress({ phase: 'Checking the whole model', done: 0, total: 4, unit: 'steps' });
  const weights = await readWeights(architecture.expectedTensors(config), context.signal, trained ?? containerWeights(source.container));
  const float = await context.runtime.createFromGraph(architecture.buildLanguageModel(config, floatWeights(weights)));
  try {
    return await compareWith(float, request, decoder);
  } finally {
    await float.release();
  }
}

/** `float`: the session of the float weights, kept open until both have been timed in turns. */
async function compareWith(
  float: Session,
  request: VerificationRequest,
  { architecture, config }: SourceDecoder,
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly latency: LatencyReport | undefined }> {
  const { source, planned: store, written, folder, context } = request;
  const { runtime } = context;
  const ids = sampleIds(config, context.seed, Math.min(32, config.contextLength));
  const feeds = languageModelFeeds(config, ids);
  const floatLogits = await logitsOf(float, feeds);
  const one = languageModelFeeds(config, ids.slice(0, 1));
  throwIfCancelled(context.signal);

  context.progress({ phase: 'Checking the whole model', done: 1, total: 4, unit: 'steps' });
  const typeOf = (name: string) => (written.roundedToSource ? source.container.tensors.get(name)?.dtype : undefined);
  const reader = plannedWeights(store, containerWeights(source.container), typeOf);
  const weights = await readWeights(architecture.expectedTensors(config), context.signal, reader);
  const reference = await runtime.createFromGraph(architecture.buildLanguageModel(config, floatWeights(weights)));
  const planned = await logitsOf(reference, feeds);
  await reference.release();
  if (store.size > 0 && !request.trained) {
    const divergence = meanDivergence(floatLogits, planned, config.vocabularySize);
    context.note(
      `The compressed model diverges by ${divergence.toPrecision(3)} nats per token from the float model on the sample (mean KL).`,
    );
  }
  if (!written.primary.endsWith('.onnx')) return { checks: [await checkDirectory(request, planned, feeds)], latency: undefined };

  const path = join(folder, written.primary);
  const checks: VerificationCheck[] = [];
  const judge = (name: string, logits: Float32Array, note?: string): void => {
    const measured = largestDifference(planned, logits);
    const check = { name, passed: measured <= logitTolerance, measured, limit: logitTolerance, unit: 'absolute' };
    checks.push(note === undefined ? check : { ...check, note });
  };
  const compare = async (name: string, file: string, options: SessionOptions, note?: string) => {
    throwIfCancelled(context.signal);
    context.progress({ phase: 'Checking the whole model', done: checks.length + 2, total: 5, unit: 'steps' });
    const session = await runtime.createFromFile(file, options);
    try {
      judge(name, await logitsOf(session, feeds), note);
    } finally {
      await session.release();
    }
  };
  let exactIsDefault = false;
  await withExactFile(path, async ({ path: exact, changed, sameByDefault }) => {
    exactIsDefault = sameByDefault;
    const note = changed ? 'With activations in float32; the file asks for int8 activations.' : undefined;
    await compare('logits-disabled', exact, { optimization: 'disabled' }, note);
    if (!sameByDefault) await compare('logits-exact', exact, { optimization: 'all', exactMatMulNBits: true }, note);
  });
  const session = await runtime.createFromFile(path, { optimization: 'all', exactMatMulNBits: false });
  try {
    const logits = await logitsOf(session, feeds);
    if (exactIsDefault) judge('logits-exact', logits);
    if (written.integerActivations) {
      const measured = meanDivergence(planned, logits, config.vocabularySize);
      checks.push({
        name: 'divergence-default',
        passed: measured <= divergenceTolerance,
        measured,
        limit: divergenceTolerance,
        unit: 'nats',
        note: "With the runtime's default settings, which round activations to int8.",
      });
    } else judge('logits-default', logits);
    return { checks, latency: latencyReport(await compareLatency(float, session, one), 1, 'One token') };
  } finally {
    await session.release();
  }
}

/** A finished file whose operators take float32 activations. */
export interface ExactFile {
  /** The file itself, or a temporary copy if its operators ask for int8 activations. */
  readonly path: string;
  readonly changed: boolean;
  /** True if the runtime's default settings compute exactly the same: they change only the activations of products with dequantised weights. */
  readonly sameByDefault: boolean;
}

/** Runs an action on the file with float32 activations. */
export async function withExactFile(path: string, action: (file: ExactFile) => Promise<void>): Promise<void> {
  const editor = await editModel(path);
  try {
    const levels = editor.graph.node
      .filter(({ opType }) => opType === 'MatMulNBits')
      .flatMap(({ attribute }) => attribute.filter(({ name }) => name === 'accuracy_level'));
    if (!levels.some(({ i }) => i === 4n)) return await action({ path, changed: false, sameByDefault: !(await dequantizes(path)) });
    for (const level of levels) level.i = 1n;
    const folder = await mkdtemp(join(tmpdir(), 'loomweight-verify-'));
    try {
      const copy = join(folder, 'exact.onnx');
      await editor.write(copy);
      await action({ path: copy, changed: true, sameByDefault: false });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  } finally {
    await editor.close();
  }
}

/** True if any node of the file, including those in bodies and functions, is a DequantizeLinear. */
async function dequantizes(path: string): Promise<boolean> {
  const file = await openOnnx(path);
  await file.close();
  return (file.graph?.operators['DequantizeLinear'] ?? 0) > 0;
}

async function logitsOf(session: Session, feeds: Feeds): Promise<Float32Array> {
  return (await session.run(feeds, ['logits']))['logits']!.data as Float32Array;
}

/** The written directory opened like any other model, its config and its tensors, and run: its logits against those of the plan. */
async function checkDirectory(
  { folder, written: { primary }, context: { runtime, signal } }: VerificationRequest,
  planned: Float32Array,
  feeds: Feeds,
): Promise<VerificationCheck> {
  throwIfCancelled(signal);
  const written = await openContainer(join(folder, primary));
  try {
    const architecture = findArchitecture(written.config ?? {});
    if (!architecture) throw new LoomweightError('internal', `The config.json written to ${folder} does not name a known architecture.`);
    const config = architecture.readConfig(written.config ?? {});
    const weights = await readWeights(architecture.expectedTensors(config), signal, containerWeights(written));
    const session = await runtime.createFromGraph(architecture.buildLanguageModel(config, floatWeights(weights)));
    try {
      const measured = largestDifference(planned, await logitsOf(session, feeds));
      return { name: 'logits-exact', passed: measured <= logitTolerance, measured, limit: logitTolerance, unit: 'absolute' };
    } finally {
      await session.release();
    }
  } finally {
    await written.close();
  }
}

async function readWeights(
  tensors: readonly ExpectedTensor[],
  signal: AbortSignal | undefined,
  reader: WeightReader,
): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  for (const { name } of tensors) {
    throwIfCancelled(signal);
    weights.set(name, await reader.read(name));
  }
  return weights;
}
