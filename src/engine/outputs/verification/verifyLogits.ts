import { join } from 'node:path';
import { SeededRandom } from '../../../common/random';
import { throwIfCancelled } from '../../../protocol/errors';
import type { LatencyReport, OutputChange, VerificationCheck } from '../../../protocol/report';
import type { DecoderConfig } from '../../architectures/architecture';
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
import { elementCount } from '../../../protocol/dtypes';
import { releaseArrays } from '../../runtime/releaseArrays';
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
  const float = await sessionOf(request, { architecture, config }, trained ?? containerWeights(source.container));
  try {
    return await compareWith(float, request, decoder);
  } finally {
    await float.release();
  }
}

/** `float`: the session of the float weights, kept open until both have been timed in turns. */
async function compareWith(float: Session, request: VerificationRequest, decoder: SourceDecoder): Promise<LogitsResult> {
  const { config } = decoder;
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
  const logitsOfPlan = async (change?: (values: Float32Array) => Float32Array): Promise<Float32Array> =>
    logitsOnce(await sessionOf(request, decoder, reader, change), feeds);
  const planned = await logitsOfPlan();
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
  return logitsOnce(await context.runtime.createFromFile(file, options), feeds);
}

async function logitsOf(session: Session, feeds: Feeds): Promise<Float32Array> {
  return (await session.run(feeds, ['logits']))['logits']!.data as Float32Array;
}

/** The written directory opened like any other model, its config and its tensors, and run. */
async function logitsOfDirectory(request: VerificationRequest, { tiedEmbeddings }: DecoderConfig, feeds: Feeds): Promise<Float32Array> {
  throwIfCancelled(request.context.signal);
  const written = await openContainer(join(request.folder, request.written.primary));
  try {
    const { architecture, config: read } = await runnableDecoder(written);
    // Whether a head of its own counts is decided once, for the source.
    const config = { ...read, tiedEmbeddings };
    return await logitsOnce(await sessionOf(request, { architecture, config }, containerWeights(written)), feeds);
  } finally {
    await written.close();
  }
}

/** The logits of a session that is used once. */
async function logitsOnce(session: Session, feeds: Feeds): Promise<Float32Array> {
  try {
    return await logitsOf(session, feeds);
  } finally {
    await session.release();
  }
}

/**
 * A session of the decoder in float32 with the weights that `reader` gives, changed by `change`. The session has copies of them: the arrays are given back at once, or
 * several models would be in memory until the garbage collector comes. The caller releases the session.
 */
async function sessionOf(
  { context: { runtime, signal } }: VerificationRequest,
  { architecture, config }: Pick<SourceDecoder, 'architecture' | 'config'>,
  reader: WeightReader,
  change?: (values: Float32Array) => Float32Array,
): Promise<Session> {
  const weights = new Map<string, Float32Array>();
  const own = new Set<Float32Array>();
  try {
    for (const { name, shape } of architecture.expectedTensors(config)) {
      throwIfCancelled(signal);
      const target = new Float32Array(elementCount(shape));
      const values = await reader.read(name, target);
      // A reader that keeps its values gives them as they are: they are not ours.
      if (values === target) own.add(values);
      const changed = change?.(values) ?? values;
      if (changed !== values) own.add(changed);
      weights.set(name, changed);
    }
    return await runtime.createFromGraph(architecture.buildLanguageModel(config, floatWeights(weights)), { keep: false });
  } finally {
    releaseArrays(own, []);
  }
}
