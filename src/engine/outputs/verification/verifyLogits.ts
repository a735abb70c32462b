import { join } from 'node:path';
import { SeededRandom } from '../../../common/random';
import { throwIfCancelled } from '../../../protocol/errors';
import type { LatencyReport, OutputChange, VerificationCheck } from '../../../protocol/report';
import type { DecoderConfig, ExpectedTensor } from '../../architectures/architecture';
import { floatWeights } from '../../architectures/decoder/floatWeights';
import { containerWeights } from '../../models/decoderWeights';
import { runnableDecoder, type SourceDecoder } from '../../models/recognizeDecoder';
import { openContainer } from '../../models/openContainer';
import type { WeightReader } from '../../models/weightReader';
import { plannedWeights } from '../planned/plannedWeights';
import type { RuntimeTensor, Session, SessionOptions } from '../../runtime/types';
import { compareLatency, latencyReport } from './latency';
import { checkExact, doesNotRun } from './judgeOutputs';
import { meanDivergence } from './measures';
import { outputChange } from './outputChange';
import type { OutputValues } from './outputValues';
import { openRunnable } from './runnableFile';
import { jitteredValues } from './sampleFeeds';
import { languageModelFeeds, sampleIds } from './sampleInputs';
import type { VerificationRequest } from './verificationRequest';
import { createTemporaryFolder } from '../../formats/files/temporaryFolder';

/** Limit of the design in nats, where activations are rounded to int8. */
const divergenceTolerance = 1e-2;

type Feeds = Readonly<Record<string, RuntimeTensor>>;

/** What running a whole language model has shown. */
export interface LogitsResult {
  readonly checks: readonly VerificationCheck[];
  readonly latency: LatencyReport | undefined;
  readonly change: OutputChange | undefined;
}

/**
 * Runs the whole model on a fixed sample: the reference is our own graph with the planned weights; the finished file must give its logits at the
 * runtime's optimisation levels `disabled` and `all` with exact kernels, and stay close in distribution with the runtime's default settings.
 */
export async function verifyLogits(request: VerificationRequest, decoder: SourceDecoder): Promise<LogitsResult> {
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
async function compareWith(float: Session, request: VerificationRequest, { architecture, config }: SourceDecoder): Promise<LogitsResult> {
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
  const logitsOfPlan = async (change: (values: Float32Array) => Float32Array): Promise<Float32Array> => {
    const weights = await readWeights(architecture.expectedTensors(config), context.signal, reader, change);
    const reference = await runtime.createFromGraph(architecture.buildLanguageModel(config, floatWeights(weights)));
    try {
      return await logitsOf(reference, feeds);
    } finally {
      await reference.release();
    }
  };
  const planned = await logitsOfPlan((values) => values);
  const expected = {
    planned: [asOutput(planned)],
    rounded: async () => {
      const random = new SeededRandom(context.seed);
      return [asOutput(await logitsOfPlan((values) => jitteredValues(values, random)))];
    },
  };
  const judge = (name: string, logits: Float32Array, note?: string) => checkExact(name, expected, [asOutput(logits)], note);
  const divergence = meanDivergence(floatLogits, planned, config.vocabularySize);
  const change = store.size > 0 && !request.trained ? outputChange('predictions', divergence) : undefined;
  if (change)
    context.note(
      `The compressed model diverges by ${divergence.toPrecision(3)} nats per token from the float model on the sample (mean KL).`,
    );
  if (!written.primary.endsWith('.onnx'))
    return { checks: [await judge('logits-exact', await logitsOfDirectory(request, config, feeds))], latency: undefined, change };

  const checks: VerificationCheck[] = [];
  const compare = async (
    name: string,
    file: string,
    options: SessionOptions,
    check: (logits: Float32Array) => Promise<VerificationCheck>,
  ) => {
    throwIfCancelled(context.signal);
    context.progress({ phase: 'Checking the whole model', done: checks.length + 2, total: 5, unit: 'steps' });
    const logits = await runLogits(request, file, options, feeds).catch((error: unknown) => doesNotRun(name, error));
    checks.push('passed' in logits ? logits : await check(logits));
  };
  const temporary = createTemporaryFolder('verify');
  try {
    const { needs, path, exactPath } = await openRunnable(join(folder, written.primary), temporary.path, 'result');
    const note = needs.roundsActivations ? 'With activations in float32; the file asks for int8 activations.' : undefined;
    // The runtime's default settings change only the activations of products with dequantised weights.
    const sameByDefault = !needs.dequantizes && !needs.roundsActivations;
    await compare('logits-disabled', exactPath, { optimization: 'disabled' }, (logits) => judge('logits-disabled', logits, note));
    if (!sameByDefault)
      await compare('logits-exact', exactPath, { optimization: 'all', exactMatMulNBits: true }, (logits) =>
        judge('logits-exact', logits, note),
      );
    const byDefault = { optimization: 'all', exactMatMulNBits: false } as const;
    await compare('logits-default', path, byDefault, async (logits) => {
      if (sameByDefault) checks.push(await judge('logits-exact', logits));
      return written.integerActivations ? divergenceCheck(planned, logits, config.vocabularySize) : judge('logits-default', logits);
    });
    if (store.size === 0 || checks.some(({ passed }) => !passed)) return { checks, latency: undefined, change };
    const session = await runtime.createFromFile(path, byDefault);
    try {
      return { checks, latency: latencyReport(await compareLatency(float, session, one), 1, 'One token'), change };
    } finally {
      await session.release();
    }
  } finally {
    await temporary.remove();
  }
}

function asOutput(logits: Float32Array): OutputValues {
  return { name: 'logits', dtype: 'float32', shape: [logits.length], values: logits };
}

/** The check of a file whose default kernels round activations to int8. */
function divergenceCheck(planned: Float32Array, logits: Float32Array, classes: number): VerificationCheck {
  const measured = meanDivergence(planned, logits, classes);
  return {
    name: 'divergence-default',
    passed: measured <= divergenceTolerance,
    measured,
    limit: divergenceTolerance,
    unit: 'nats',
    note: "With the runtime's default settings, which round activations to int8.",
  };
}

async function runLogits({ context }: VerificationRequest, file: string, options: SessionOptions, feeds: Feeds): Promise<Float32Array> {
  const session = await context.runtime.createFromFile(file, options);
  try {
    return await logitsOf(session, feeds);
  } finally {
    await session.release();
  }
}

async function logitsOf(session: Session, feeds: Feeds): Promise<Float32Array> {
  return (await session.run(feeds, ['logits']))['logits']!.data as Float32Array;
}

/** The written directory opened like any other model, its config and its tensors, and run. */
async function logitsOfDirectory(
  { folder, written: { primary }, context: { runtime, signal } }: VerificationRequest,
  { tiedEmbeddings }: DecoderConfig,
  feeds: Feeds,
): Promise<Float32Array> {
  throwIfCancelled(signal);
  const written = await openContainer(join(folder, primary));
  try {
    const { architecture, config: read } = await runnableDecoder(written);
    // Whether a head of its own counts is decided once, for the source.
    const config = { ...read, tiedEmbeddings };
    const weights = await readWeights(architecture.expectedTensors(config), signal, containerWeights(written));
    const session = await runtime.createFromGraph(architecture.buildLanguageModel(config, floatWeights(weights)));
    try {
      return await logitsOf(session, feeds);
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
  change = (values: Float32Array): Float32Array => values,
): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  for (const { name } of tensors) {
    throwIfCancelled(signal);
    weights.set(name, change(await reader.read(name)));
  }
  return weights;
}
