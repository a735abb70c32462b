import { join } from 'node:path';
import { throwIfCancelled } from '../../../protocol/errors';
import type { LatencyReport, OutputChange, VerificationCheck } from '../../../protocol/report';
import { readableGraph } from '../../evaluate/readableGraph';
import { probabilityOutputs } from '../../graph/passes/probabilityOutputs';
import { releaseArrays } from '../../runtime/releaseArrays';
import type { Session, SessionOptions } from '../../runtime/types';
import { changeOf, showsNothing } from './changeOfOutputs';
import { checkExact, checkRounded, doesNotRun, type ExpectedOutputs } from './judgeOutputs';
import { compareLatency, latencyReport } from './latency';
import { differenceOf } from './measures';
import { outputsOf, type OutputValues } from './outputValues';
import { writePlannedGraph, type PlannedGraph } from './plannedGraph';
import { openRunnable, type RunnableFile } from './runnableFile';
import { allLevelsFit } from './runningTime';
import { sameFiles } from './sameFiles';
import { jittered, lengthsToTry, refusedInput, sampleFeeds, type Feeds } from './sampleFeeds';
import type { VerificationRequest } from './verificationRequest';
import { createTemporaryFolder } from '../../formats/files/temporaryFolder';

/** Settings of the runtime at which source and result are compared. */
interface Level {
  readonly name: 'outputs-disabled' | 'outputs-exact' | 'outputs-default';
  readonly options: SessionOptions;
  /** With float32 activations also where the file asks for int8. */
  readonly exact: boolean;
}

const disabled: Level = { name: 'outputs-disabled', options: { optimization: 'disabled' }, exact: true };
const exact: Level = { name: 'outputs-exact', options: { optimization: 'all' }, exact: true };
const identical: VerificationCheck = {
  name: 'identical',
  passed: true,
  measured: 0,
  limit: 0,
  unit: 'mismatches',
  note: 'The file has the bytes of the source, so it computes the same.',
};
const byDefault: Level = { name: 'outputs-default', options: { optimization: 'all', exactMatMulNBits: false }, exact: false };

/** What running a whole ONNX model has shown. */
export interface OnnxModelResult {
  readonly checks: readonly VerificationCheck[];
  readonly latency: LatencyReport | undefined;
  readonly change: OutputChange | undefined;
  /** False if no output says anything about the result on the inputs it was run on: the model ran, but was not compared. */
  readonly shows: boolean;
}

/**
 * Runs an ONNX model with the planned weights and its compressed copy on the same random inputs, each at the runtime's optimisation levels `disabled` and `all` and with
 * the runtime's default settings, and compares them level by level: what the source itself rounds is on both sides. Undefined where the model cannot be
 * run; a note says why, and the scope is then `bytes`.
 */
export async function verifyOnnxModel(request: VerificationRequest): Promise<OnnxModelResult | undefined> {
  const { source, planned, folder, written, context } = request;
  if (planned.size === 0 && !written.unpackTo && (await sameFiles(source.container.path, join(folder, written.primary))))
    return { checks: [identical], latency: undefined, change: undefined, shows: true };
  const refused = refusedInput(source.container.graph?.inputs ?? []);
  if (refused) {
    const { name, dtype } = refused;
    context.note(`The runtime takes no inputs of type ${dtype} (input '${name}'), so only the bytes of the model were checked.`);
    return undefined;
  }
  const temporary = createTemporaryFolder('verify');
  try {
    return await runModel(request, temporary.path);
  } finally {
    await temporary.remove();
  }
}

/** One comparison of a model and its result. */
interface Comparison {
  readonly request: VerificationRequest;
  readonly feeds: Feeds;
  readonly reference: PlannedGraph;
  readonly result: RunnableFile;
}

/** Never holds two models at a time, but for timing, and no values of weights while the result is loaded. */
async function runModel(request: VerificationRequest, temporary: string): Promise<OnnxModelResult | undefined> {
  const { source, context, planned } = request;
  const { runtime } = context;
  context.progress({ phase: 'Checking the whole model', done: 0, total: 4, unit: 'steps' });
  const original = await openRunnable(source.container.path, temporary, 'original');
  const openOriginal = () => runtime.createFromFile(original.exactPath, exact.options);
  const session = await openOriginal();
  const ran = await runOnSamples(session, request).finally(() => session.release());
  if (ran === undefined) return undefined;
  const { feeds, float, seconds } = ran;
  const branches = source.container.graph?.operators['If'] ?? 0;
  if (branches > 0)
    context.note(
      `The model chooses between branches (${branches} If): the inputs took one of each, and the other was checked by its bytes only.`,
    );
  if (original.needs.draws && !(await repeats(request, original, feeds, float))) {
    context.note('The outputs of the model differ from run to run, also with seeded operators, so only its bytes were checked.');
    return undefined;
  }
  const reference = await writePlannedGraph(source, planned, temporary);
  const result = await openResult(request, temporary);
  const comparison = { request, feeds, reference, result };
  const { checks, planned: plannedOutputs } = await checkLevels(comparison, seconds);
  const shows = float.some((output, index) => showsNothing(output, plannedOutputs[index] as OutputValues) === undefined);
  if (!shows)
    context.note(
      'No output shows anything on random inputs: all are constant, empty or not finite. Only the bytes of the model were checked.',
    );
  const change = request.trained || planned.size === 0 ? undefined : await changeOfModel(request, float, plannedOutputs);
  // The same weights take the same time: a conversion has nothing to compare.
  const compared = planned.size > 0 && checks.every(({ passed }) => passed);
  return { checks, change, shows, latency: compared ? await latencyOf(openOriginal, comparison) : undefined };
}

/** The float model's outputs on the shortest random inputs that it runs on. Undefined, with a note, where it runs on none. */
async function runOnSamples(
  session: Session,
  { source, context }: VerificationRequest,
): Promise<{ readonly feeds: Feeds; readonly float: readonly OutputValues[]; readonly seconds: number } | undefined> {
  const inputs = source.container.graph?.inputs ?? [];
  let failure: unknown;
  for (const length of lengthsToTry(inputs)) {
    throwIfCancelled(context.signal);
    const feeds = sampleFeeds(inputs, context.seed, length);
    const started = performance.now();
    try {
      const float = await outputsOf(session, feeds);
      return { feeds, float, seconds: (performance.now() - started) / 1000 };
    } catch (error) {
      failure ??= error;
    }
  }
  context.note(`The model does not run on random inputs, so only its bytes were checked: ${(failure as Error).message}`);
  return undefined;
}

/** How far the planned weights move the outputs, with notes that say so. */
async function changeOfModel(
  { source, context }: VerificationRequest,
  float: readonly OutputValues[],
  planned: readonly OutputValues[],
): Promise<OutputChange | undefined> {
  const { change, notes } = changeOf(float, planned, await probabilitiesOf(source.container.path));
  if (change) {
    const percent = `${(change.measured * 100).toPrecision(3)} %`;
    context.note(
      change.unit === 'share of values'
        ? `On random inputs ${percent} of the values in an output of whole numbers differ from those of the float model.`
        : `On random inputs the outputs differ by ${percent} from those of the float model.`,
    );
  }
  notes.forEach((note) => context.note(note));
  return change;
}

/** The outputs that the graph makes by a Softmax or Sigmoid; none for a graph that only the runtime can read. */
async function probabilitiesOf(path: string): Promise<ReadonlySet<string>> {
  const graph = await readableGraph(path);
  return graph === undefined ? new Set() : probabilityOutputs(graph);
}

/** The finished file, or the ONNX model that it stands for. */
async function openResult({ folder, written }: VerificationRequest, temporary: string): Promise<RunnableFile> {
  if (!written.unpackTo) return openRunnable(join(folder, written.primary), temporary, 'result');
  const path = join(temporary, 'unpacked.onnx');
  await written.unpackTo(path);
  return openRunnable(path, temporary, 'result');
}

/** True if another session gives the same outputs. */
async function repeats(
  { context }: VerificationRequest,
  file: RunnableFile,
  feeds: Feeds,
  first: readonly OutputValues[],
): Promise<boolean> {
  const again = await runOnce(() => context.runtime.createFromFile(file.exactPath, exact.options), feeds);
  return first.every(({ values }, index) => {
    const { sameLength, norm, nonFinite } = differenceOf(values, (again[index] as OutputValues).values);
    return sameLength && norm < 1e-3 && nonFinite === 0;
  });
}

/** Compares reference and result at every level that the time allows. */
async function checkLevels(
  comparison: Comparison,
  secondsPerRun: number,
): Promise<{ readonly checks: readonly VerificationCheck[]; readonly planned: readonly OutputValues[] }> {
  const { request, reference, result } = comparison;
  const { context, written } = request;
  const sameByDefault = ![reference.file.needs, result.needs].some(
    ({ dequantizes, roundsActivations }) => dequantizes || roundsActivations,
  );
  const all = sameByDefault ? [disabled, byDefault] : [disabled, exact, byDefault];
  const levels = allLevelsFit(secondsPerRun, all.length) ? all : written.integerActivations ? [exact] : [byDefault];
  if (levels.length < all.length)
    context.note(`One run takes ${secondsPerRun.toFixed(0)} s, so the whole model was compared at one setting of the runtime only.`);
  const checks: VerificationCheck[] = [];
  let exactOutputs: readonly OutputValues[] | undefined;
  let last: readonly OutputValues[] = [];
  for (const [index, level] of levels.entries()) {
    throwIfCancelled(context.signal);
    context.progress({ phase: 'Checking the whole model', done: index + 1, total: levels.length + 1, unit: 'steps' });
    last = await runReference(comparison, level);
    const found = await runOnce(() => open(comparison, level), comparison.feeds).catch((error: unknown) => doesNotRun(level.name, error));
    checks.push('passed' in found ? found : await checkLevel(comparison, level, { planned: last, exact: exactOutputs ?? last, found }));
    // What exact kernels compute by default is both.
    if (sameByDefault && level === byDefault) checks.splice(-1, 0, { ...(checks.at(-1) as VerificationCheck), name: exact.name });
    if (level.exact) exactOutputs = last;
  }
  return { checks, planned: exactOutputs ?? last };
}

async function checkLevel(
  comparison: Comparison,
  level: Level,
  { planned, exact: exactOutputs, found }: Readonly<Record<'planned' | 'exact' | 'found', readonly OutputValues[]>>,
): Promise<VerificationCheck> {
  const { request, result } = comparison;
  if (!level.exact && request.written.integerActivations)
    return checkRounded(level.name, planned, found, {
      sourceRounding: exactOutputs.map(({ values }, index) => differenceOf(values, (planned[index] as OutputValues).values)),
      layers: request.planned.size,
      note: "With the runtime's default settings, which round activations to int8.",
    });
  const expected: ExpectedOutputs = { planned, rounded: () => runReference(comparison, level, true) };
  const note =
    level.exact && result.needs.roundsActivations ? 'With activations in float32; the file asks for int8 activations.' : undefined;
  return checkExact(level.name, expected, found, note);
}

/** Outputs of the source with the planned weights. `rounded`: with inputs and weights moved by their rounding error. */
async function runReference({ request, feeds, reference }: Comparison, level: Level, rounded = false): Promise<readonly OutputValues[]> {
  const { runtime, seed } = request.context;
  const values = await reference.values();
  const { path, exactPath } = reference.file;
  const all = rounded ? jittered({ ...feeds, ...values }, seed) : { ...feeds, ...values };
  try {
    return await runOnce(() => runtime.createFromFile(level.exact ? exactPath : path, level.options), all);
  } finally {
    // The result is loaded next, which takes more memory than anything else here.
    releaseArrays(
      [...Object.values(values), ...(rounded ? Object.values(all) : [])].map(({ data }) => data),
      Object.values(feeds).map(({ data }) => data),
    );
  }
}

function open({ request, result }: Comparison, { options, exact: isExact }: Level): Promise<Session> {
  return request.context.runtime.createFromFile(isExact ? result.exactPath : result.path, options);
}

async function runOnce(create: () => Promise<Session>, feeds: Feeds): Promise<readonly OutputValues[]> {
  const session = await create();
  try {
    return await outputsOf(session, feeds);
  } finally {
    await session.release();
  }
}

/** The result first: the runtime needs most while it loads it. */
async function latencyOf(openOriginal: () => Promise<Session>, comparison: Comparison): Promise<LatencyReport> {
  const after = await open(comparison, byDefault);
  try {
    const before = await openOriginal();
    try {
      const batch = Object.values(comparison.feeds)[0]?.shape[0] ?? 1;
      return latencyReport(await compareLatency(before, after, comparison.feeds), batch, 'One run');
    } finally {
      await before.release();
    }
  } finally {
    await after.release();
  }
}
