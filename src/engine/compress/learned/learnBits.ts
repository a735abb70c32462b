import { mkdir, writeFile } from 'node:fs/promises';
import { join, posix, resolve } from 'node:path';
import { version } from '../../../../package.json';
import { elementCount } from '../../../protocol/dtypes';
import { throwIfCancelled } from '../../../protocol/errors';
import type { LearnSpec, OutputFormat } from '../../../protocol/jobs';
import type { LayerReport, LearnReport, ModelReportHead, OutputFile, QualityReport, VerificationCheck } from '../../../protocol/report';
import { createOutputFolder } from '../../formats/files/outputFolder';
import { peakResidentBytes } from '../../runtime/peakResidentBytes';
import { collectNotes, type WorkContext } from '../../runtime/workContext';
import { checkpointFolderOf } from '../../train/checkpointFolder';
import { planMethod } from '../../train/planMethod';
import { openTrainable } from '../../train/models/openTrainable';
import { openJobData } from '../../evaluate/data/jobData';
import { openTrainingData } from '../../train/data/openTrainingData';
import { learnSettings } from '../../train/learnSettings';
import { modelGroups } from '../../train/modelGroups';
import { threadNotes } from '../../train/threadCounts';
import { train, type TrainingResult } from '../../train/trainer';
import { weightObjective, type TrainedWeights } from '../../train/weightObjective';
import type { TrainableModel } from '../../train/contract';
import { worstVerdict } from '../../../protocol/verdict';
import { failedVerification } from '../../outputs/verification/failedVerification';
import { isWeightFile, listFiles } from '../../outputs/outputFiles';
import { refuseInPlace } from '../../models/refuseInPlace';
import { hashSource, openSource, withoutHeadCopy, type ModelSource } from '../../models/modelSource';
import { checkFormats } from './checkFormats';
import { deflatedBits } from './deflatedBits';
import { exportLearned, type ExportedLearned } from './exportLearned';
import { trainedTensors } from './trainedTensors';
import { findHeldOut, measureQuality, type HeldOutQuality } from './measureQuality';

/**
 * Trains a model with widths that are learned (or fixed, for the companions), writes the best state in every format asked for, and verifies each
 * file against what was planned. With several formats each has its own folder below `out`, named after it. A cancelled or failed training leaves its
 * checkpoint beside `out` for `resume`, and no output. Errors: as `train` and `compressModel`.
 */
export async function learnBits(spec: LearnSpec, given: WorkContext): Promise<LearnReport> {
  const started = performance.now();
  const { context, notes } = collectNotes(given);
  await refuseInPlace(spec);
  const source = withoutHeadCopy(await openSource(spec.model));
  const jobData = openJobData({ data: spec.data, columns: spec.columns, memoryLimit: context.memoryLimit });
  try {
    checkFormats(spec, source);
    const model = await openTrainable(spec.model, {
      ...(spec.window === undefined ? {} : { window: spec.window }),
      start: spec.start ?? 'trained',
      seed: context.seed,
      arrays: { data: jobData },
    });
    try {
      const data = await openTrainingData(spec, model, context.seed, jobData);
      const heldOut = await findHeldOut(spec, jobData);
      const plan = await planMethod(spec, model);
      for (const note of new Set([...source.notes, ...model.notes])) context.note(note);
      for (const choice of data.choices) context.note(`${choice.slice(0, 1).toUpperCase()}${choice.slice(1)}.`);
      // A folder that cannot be written is better known now than after the training.
      await (await createOutputFolder(spec.out)).discard();
      context.progress({ phase: 'Measuring the original', done: 0, total: 1, unit: 'steps' });
      const before =
        spec.start === 'scratch' ? undefined : await measureQuality({ spec, heldOut, model: spec.model, name: 'the original' }, context);
      const { targetBits, penalty, steps, batch } = spec;
      const training = await train({
        spec,
        objective: weightObjective(
          { model, plan, loss: data.loss, penalty: penalty ?? 0, steps },
          { runtime: context.runtime, data, batch, halfRest: spec.halfRest ?? true, targetBits, penalty },
        ),
        groups: { ...modelGroups(spec), ...plan.groups },
        data: data.train,
        context,
        checkpoint: { folder: checkpointFolderOf(spec), settings: learnSettings(spec, data) },
      });
      const output = await createOutputFolder(spec.out);
      try {
        const written = await writeAll({ spec, context: given, source, model, heldOut, weights: training.result, folder: output.path });
        const report = await reportOf({ spec, context, source, training, written, before, notes, folder: output.path, started });
        await writeReports(report, written, output.path);
        throwIfCancelled(context.signal);
        if (!report.verification.passed && !spec.keepFailed) throw failedVerification(report);
        await output.commit();
        if (!report.verification.passed) throw failedVerification(report, spec.out);
        await training.discardCheckpoint();
        return report;
      } catch (error) {
        await output.discard();
        throw error;
      }
    } finally {
      await model.close();
    }
  } finally {
    await source.container.close();
  }
}

/** One format as it was written. */
interface WrittenFormat extends ExportedLearned {
  readonly format: OutputFormat;
  /** Folder below the output, '' where there is one format only. */
  readonly subfolder: string;
  readonly notes: readonly string[];
  readonly quality: QualityReport | undefined;
}

interface WriteRequest {
  readonly spec: LearnSpec;
  readonly context: WorkContext;
  readonly source: ModelSource;
  readonly model: TrainableModel;
  readonly heldOut: HeldOutQuality | undefined;
  readonly weights: TrainedWeights;
  readonly folder: string;
}

async function writeAll({ spec, context, source, model, heldOut, weights, folder }: WriteRequest): Promise<readonly WrittenFormat[]> {
  const { learned, rest } = trainedTensors(model, weights.state, weights.quantized, (name) => source.tensors.has(name));
  const written: WrittenFormat[] = [];
  for (const [index, format] of spec.formats.entries()) {
    throwIfCancelled(context.signal);
    context.progress({ phase: `Writing ${format}`, done: index, total: spec.formats.length, unit: 'formats' });
    const subfolder = spec.formats.length > 1 ? format : '';
    const target = join(folder, subfolder);
    await mkdir(target, { recursive: true });
    const { context: own, notes } = collectNotes(context);
    const result = await exportLearned({
      source,
      learned,
      rest,
      halfRest: spec.halfRest ?? true,
      format,
      folder: target,
      context: own,
    });
    // A folder that says what its main file is opens like any model, also to be measured. The whole report replaces this one at the end.
    const provisional = {
      kind: 'learn',
      version,
      primary: result.primary,
      layers: [],
      settings: settingsOf(spec),
      source: { path: resolve(spec.model), architecture: source.architecture, files: [] },
      verification: result.verification,
    } satisfies ModelReportHead & Pick<LearnReport, 'settings' | 'source' | 'verification'>;
    await writeFile(join(target, 'report.json'), JSON.stringify(provisional));
    context.progress({ phase: `Measuring ${format}`, done: index, total: spec.formats.length, unit: 'formats' });
    const quality = await measureQuality({ spec, heldOut, model: target, name: `the ${format} output` }, own);
    written.push({ ...result, format, subfolder, notes, quality });
  }
  return written;
}

interface ReportRequest {
  readonly spec: LearnSpec;
  readonly context: WorkContext;
  readonly source: ModelSource;
  readonly training: TrainingResult<TrainedWeights>;
  readonly written: readonly WrittenFormat[];
  readonly before: QualityReport | undefined;
  readonly notes: readonly string[];
  readonly folder: string;
  readonly started: number;
}

async function reportOf(request: ReportRequest): Promise<LearnReport> {
  const { spec, context, source, training, written, before, folder, started } = request;
  const { quantized, sizes } = training.result;
  const first = written[0] as WrittenFormat;
  const outputs = (await listFiles(folder)).filter(({ path }) => !path.endsWith('report.json'));
  const files = await hashSource(source, context.signal);
  const parameterCount = [...source.tensors.values()].reduce((sum, { entry }) => sum + elementCount(entry.shape), 0);
  const checks = written.flatMap(({ format, verification }) =>
    verification.checks.map((check): VerificationCheck => (written.length === 1 ? check : { ...check, name: `${format}: ${check.name}` })),
  );
  return {
    kind: 'learn',
    version,
    method: spec.method,
    formats: spec.formats,
    settings: settingsOf(spec),
    source: { path: resolve(spec.model), architecture: source.architecture, files },
    seed: context.seed,
    parameterCount,
    bitsPerWeight: weightedBits(first.layers),
    bytesBefore: weightBytes(files),
    bytesAfter: weightBytes(outputs.filter(({ path }) => inSubfolder(path, first.subfolder))),
    ...(first.loadedBytes === undefined ? {} : { loadedBytes: first.loadedBytes }),
    layers: first.layers,
    verification: {
      passed: written.every(({ verification }) => verification.passed),
      verdict: worstVerdict(written.map(({ verification }) => verification)),
      scope: first.verification.scope,
      checks,
    },
    ...(first.latency === undefined ? {} : { latency: first.latency }),
    environment: context.runtime.environment,
    training: {
      steps: spec.steps,
      bestStep: training.bestStep,
      mode: training.mode,
      modeReason: training.modeReason,
      stepsPerSecond: training.stepsPerSecond,
      ...(training.resumedFrom === undefined ? {} : { resumedFrom: training.resumedFrom }),
      ...(training.threads.length < 2 ? {} : { threads: training.threads }),
      curve: training.curve,
      evaluations: training.evaluations,
    },
    sizes: {
      float32: parameterCount * 4,
      estimated: Math.ceil(sizes.estimatedBits / 8),
      true: Math.ceil(sizes.trueBits / 8),
      onDisk: Object.fromEntries(
        written.map(({ format, subfolder }) => [format, weightBytes(outputs.filter(({ path }) => inSubfolder(path, subfolder)))]),
      ),
      deflated: Math.ceil(deflatedBits(quantized) / 8),
    },
    quality: {
      ...(before === undefined ? {} : { before }),
      ...(first.quality === undefined ? {} : { after: first.quality }),
      byFormat: Object.fromEntries(written.flatMap(({ format, quality }) => (quality === undefined ? [] : [[format, quality]]))),
    },
    seconds: (performance.now() - started) / 1000,
    peakRssBytes: peakResidentBytes(),
    outputs,
    primary: posix.join(first.subfolder, first.primary),
    notes: [
      ...request.notes,
      ...context.runtime.notes(),
      ...written.flatMap(({ format, notes }) => notes.map((text) => `${format}: ${text}`)),
    ],
  };
}

/** The report of the whole output, and one in each format's folder, which is a model by itself. */
async function writeReports(report: LearnReport, written: readonly WrittenFormat[], folder: string): Promise<void> {
  await writeFile(join(folder, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  for (const each of written) {
    if (each.subfolder === '') continue;
    const own: LearnReport = {
      ...report,
      formats: [each.format],
      bitsPerWeight: weightedBits(each.layers),
      bytesAfter: report.sizes.onDisk[each.format] ?? report.bytesAfter,
      layers: each.layers,
      verification: each.verification,
      quality: { ...report.quality, ...(each.quality === undefined ? {} : { after: each.quality }) },
      outputs: report.outputs
        .filter(({ path }) => inSubfolder(path, each.subfolder))
        .map(({ path, bytes }) => ({ path: path.slice(each.subfolder.length + 1), bytes })),
      primary: each.primary,
      notes: [...threadNotes(report.training.threads ?? []), ...each.notes],
    };
    await writeFile(join(folder, each.subfolder, 'report.json'), `${JSON.stringify(own, undefined, 2)}\n`);
  }
}

function inSubfolder(path: string, subfolder: string): boolean {
  return subfolder === '' || path.startsWith(`${subfolder}/`);
}

function weightBytes(files: readonly OutputFile[]): number {
  return files.filter(isWeightFile).reduce((sum, { bytes }) => sum + bytes, 0);
}

function weightedBits(layers: readonly LayerReport[]): number {
  const weights = layers.reduce((sum, layer) => sum + layer.weights, 0);
  return layers.reduce((sum, layer) => sum + layer.bitsPerWeight * layer.weights, 0) / Math.max(1, weights);
}

/** What was asked for, without paths and without what the report says elsewhere. */
function settingsOf(spec: LearnSpec): Readonly<Record<string, unknown>> {
  const { kind: _kind, model: _model, out: _out, data: _data, parameters, ...rest } = spec;
  const {
    provider: _provider,
    threads: _threads,
    maxMemory: _memory,
    seed: _seed,
    validation: _validation,
    formats: _formats,
    resume: _resume,
    startOver: _startOver,
    ...settings
  } = rest;
  return { ...parameters, ...settings };
}
