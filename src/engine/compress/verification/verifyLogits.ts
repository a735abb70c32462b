import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { throwIfCancelled } from '../../../protocol/errors';
import type { LatencyReport, VerificationCheck } from '../../../protocol/report';
import type { DecoderConfig } from '../../architectures/architecture';
import { floatWeights } from '../../architectures/decoder/floatWeights';
import { decodeToFloat32 } from '../../formats/decode';
import { editModel } from '../../formats/onnx/editModel';
import type { RuntimeTensor, Session, SessionOptions } from '../../runtime/types';
import { compareLatency, latencyReport } from './latency';
import { largestDifference, meanDivergence } from './measures';
import { languageModelFeeds, sampleIds } from './sampleInputs';
import type { VerificationContext } from './verifyResult';

/** Limits of the design: absolute difference of logits, and nats where activations are rounded to int8. */
export const logitTolerance = 1e-3;
export const divergenceTolerance = 1e-2;

type Feeds = Readonly<Record<string, RuntimeTensor>>;

/**
 * Runs the whole model on a fixed sample: the reference is our own graph with the planned weights; the finished file must give its logits at the
 * runtime's optimisation levels `disabled` and `all` with exact kernels, and stay close in distribution with the runtime's default settings.
 */
export async function verifyLogits(
  context: VerificationContext,
  config: DecoderConfig,
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly latency: LatencyReport | undefined }> {
  const ids = sampleIds(config, context.seed, Math.min(32, config.contextLength));
  const { source, runtime } = context;
  const build = source.decoder!.architecture.buildLanguageModel.bind(source.decoder!.architecture);
  context.progress('Checking the whole model', 0, 4);
  const float = await runtime.createFromGraph(build(config, floatWeights(await allWeights(context, false))));
  try {
    return await compareWith(float, context, config, ids);
  } finally {
    await float.release();
  }
}

/** `float`: the session of the source's own weights, kept open until both have been timed in turns. */
async function compareWith(
  float: Session,
  context: VerificationContext,
  config: DecoderConfig,
  ids: readonly number[],
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly latency: LatencyReport | undefined }> {
  const { source, result, runtime, folder } = context;
  const build = source.decoder!.architecture.buildLanguageModel.bind(source.decoder!.architecture);
  const feeds = languageModelFeeds(config, ids);
  const floatLogits = await logitsOf(float, feeds);
  const one = languageModelFeeds(config, ids.slice(0, 1));
  throwIfCancelled(context.signal);

  context.progress('Checking the whole model', 1, 4);
  const reference = await runtime.createFromGraph(build(config, floatWeights(await allWeights(context, true))));
  const planned = await logitsOf(reference, feeds);
  await reference.release();
  const divergence = meanDivergence(floatLogits, planned, config.vocabularySize);
  context.note(`Against the float model the compressed one diverges by ${divergence.toPrecision(3)} nats a token on the sample (mean KL).`);
  if (!result.primary.endsWith('.onnx')) return { checks: [], latency: undefined };

  const path = join(folder, result.primary);
  const checks: VerificationCheck[] = [];
  const compare = async (name: string, file: string, options: SessionOptions, note?: string) => {
    throwIfCancelled(context.signal);
    context.progress('Checking the whole model', checks.length + 2, 5);
    const session = await runtime.createFromFile(file, options);
    try {
      const measured = largestDifference(planned, await logitsOf(session, feeds));
      checks.push({
        name,
        passed: measured <= logitTolerance,
        measured,
        limit: logitTolerance,
        unit: 'absolute',
        ...(note ? { note } : {}),
      });
    } finally {
      await session.release();
    }
  };
  await withExactFile(path, async (exact, changed) => {
    const note = changed ? 'With activations in float32; the file asks for int8 activations.' : undefined;
    await compare('logits-disabled', exact, { optimization: 'disabled' }, note);
    await compare('logits-exact', exact, { optimization: 'all', exactMatMulNBits: true }, note);
  });
  const session = await runtime.createFromFile(path, { optimization: 'all', exactMatMulNBits: false });
  try {
    const logits = await logitsOf(session, feeds);
    if (result.integerActivations) {
      const measured = meanDivergence(planned, logits, config.vocabularySize);
      checks.push({
        name: 'divergence-default',
        passed: measured <= divergenceTolerance,
        measured,
        limit: divergenceTolerance,
        unit: 'nats',
        note: "With the runtime's default settings, which round activations to int8.",
      });
    } else {
      const measured = largestDifference(planned, logits);
      checks.push({ name: 'logits-default', passed: measured <= logitTolerance, measured, limit: logitTolerance, unit: 'absolute' });
    }
    return { checks, latency: latencyReport(await compareLatency(float, session, one), 1, 'One token') };
  } finally {
    await session.release();
  }
}

/** Runs an action on the file with float32 activations: the file itself, or a temporary copy where its operators ask for int8. */
export async function withExactFile(path: string, action: (file: string, changed: boolean) => Promise<void>): Promise<void> {
  const editor = await editModel(path);
  try {
    const levels = editor.graph.node
      .filter(({ opType }) => opType === 'MatMulNBits')
      .flatMap(({ attribute }) => attribute.filter(({ name }) => name === 'accuracy_level'));
    if (!levels.some(({ i }) => i === 4n)) return await action(path, false);
    for (const level of levels) level.i = 1n;
    const folder = await mkdtemp(join(tmpdir(), 'loomweight-verify-'));
    try {
      const copy = join(folder, 'exact.onnx');
      await editor.write(copy);
      await action(copy, true);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  } finally {
    await editor.close();
  }
}

async function logitsOf(session: Session, feeds: Feeds): Promise<Float32Array> {
  return (await session.run(feeds, ['logits']))['logits']!.data as Float32Array;
}

/** All weights as float32; `finished`: the compressed ones as the finished file holds them. */
async function allWeights({ source, plan, result, signal }: VerificationContext, finished: boolean): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  for (const { name } of source.decoder!.architecture.expectedTensors(source.decoder!.config)) {
    throwIfCancelled(signal);
    const entry = source.container.tensors.get(name)!;
    weights.set(
      name,
      finished && plan.has(name) ? await result.readWeights(name) : decodeToFloat32(entry.dtype, await source.container.read(name)),
    );
  }
  return weights;
}
