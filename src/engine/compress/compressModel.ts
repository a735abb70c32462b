import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { formatBytes } from '../../common/units';
import { elementCount } from '../../protocol/dtypes';
import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import type { CompressSpec } from '../../protocol/jobs';
import type { CompressReport, LayerReport } from '../../protocol/report';
import { version } from '../../../package.json';
import { openJobData, type JobData } from '../evaluate/data/jobData';
import { createOutputFolder } from '../formats/files/outputFolder';
import { HostThreads } from '../kernels/host/threads/hostThreads';
import { hashSource, openSource, type ModelSource } from '../models/modelSource';
import { refuseInPlace } from '../models/refuseInPlace';
import { refuseChangedFiles } from '../models/sourceFiles';
import { layerReports, progressLayer } from '../outputs/layerReports';
import { isWeightFile, listFiles } from '../outputs/outputFiles';
import { PlannedStore, type PlannedEntry } from '../outputs/planned/plannedStore';
import { failedVerification } from '../outputs/verification/failedVerification';
import { verifyOutput } from '../outputs/verification/verifyOutput';
import { findWriter } from '../outputs/writers';
import type { OutputWriter } from '../outputs/writers/outputWriter';
import { peakResidentBytes } from '../runtime/peakResidentBytes';
import { collectNotes, type WorkContext } from '../runtime/workContext';
import { chooseWidths } from './budget/chooseWidths';
import type { ChosenWidths } from './budget/chosenWidths';
import { measuredPoints } from './budget/measuredPoints';
import { layersOf, makePlan, prepareSource, type CompressPlan } from './plan';
import { transformNotes } from './keptTransforms';
import { planModel } from './planning/planModel';
import { requireDecoder } from './planning/requireDecoder';
import { storeLimit } from './planning/storeLimit';
import { findQuantizer } from './quantizers';
import { roleNotes } from './roleNotes';

/** With this many weights the threads are started before they are needed: they surely will be. */
const manyWeights = 2 ** 22;

/**
 * Compresses a model into a new folder: plans every tensor, writes them, reads everything back, runs it, and only then moves the
 * folder to its name. Failed and cancelled jobs leave nothing behind (`keepFailed` keeps an output that fails verification).
 * Errors: `invalid-argument` (parameters, an output folder that exists and is not empty), `unsupported` (format and model do not fit),
 * `malformed-file`, `verification-failed`, `insufficient-disk`, `cancelled`.
 */
export async function compressModel(spec: CompressSpec, given: WorkContext): Promise<CompressReport> {
  const started = performance.now();
  const { context, notes } = collectNotes(given);
  await refuseInPlace(spec);
  const writer = findWriter(spec.format);
  const opened = await openSource(spec.model);
  const threads = new HostThreads(context.runtime.environment.threads, { note: context.note });
  try {
    const source = prepareSource(opened, spec);
    const planned = makePlan(source, spec);
    const quantizer = findQuantizer(spec.method);
    // Before a budget measures anything.
    if (quantizer.unit === 'block') requireDecoder(source, quantizer);
    for (const note of [...source.notes, ...roleNotes(source, planned)]) context.note(note);
    if (sumOf([...planned.values()], ({ tensor }) => tensor.shape[0] * tensor.shape[1]) >= manyWeights) threads.start();
    const { memoryLimit } = context;
    const calibration = spec.calibration === undefined ? undefined : openJobData({ data: spec.calibration, memoryLimit });
    const chosen =
      spec.budget === undefined ? undefined : await chooseWidths({ ...context, spec, source, plan: planned, writer, calibration });
    const plan = chosen?.plan ?? planned;
    writer.check(source, layersOf(plan));
    for (const note of transformNotes(source, spec.tensors)) context.note(note);
    const output = await createOutputFolder(spec.out);
    const store = new PlannedStore(output.path, storeLimit(context.memoryLimit));
    try {
      const run = { spec, source, plan, writer, context, chosen, calibration, store, threads, notes, folder: output.path };
      const report = await compress(run, started);
      throwIfCancelled(context.signal);
      if (!report.verification.passed && !spec.keepFailed) throw failedVerification(report);
      await output.commit();
      if (!report.verification.passed) throw failedVerification(report, spec.out);
      return report;
    } catch (error) {
      await store.dispose();
      await output.discard();
      // A model that is replaced while it is read fails in many ways, all of which would blame something else.
      if (!LoomweightError.is(error, 'cancelled')) await refuseChangedFiles(opened.files);
      throw error;
    }
  } finally {
    await threads.close();
    await opened.container.close();
  }
}

/** One compression, from plan to report. */
interface Compression {
  readonly spec: CompressSpec;
  readonly source: ModelSource;
  readonly plan: CompressPlan;
  readonly writer: OutputWriter;
  readonly context: WorkContext;
  readonly chosen: ChosenWidths | undefined;
  readonly calibration: JobData | undefined;
  readonly store: PlannedStore;
  readonly threads: HostThreads;
  readonly notes: readonly string[];
  /** The temporary output folder. */
  readonly folder: string;
}

async function compress(run: Compression, started: number): Promise<CompressReport> {
  const { spec, source, plan, writer, context, chosen, calibration, store, threads, folder } = run;
  const stored = new Map<string, number>();
  const layers = rarely(() => store.compressed().map((name) => progressLayer(source, store.entry(name) as PlannedEntry, stored.get(name))));
  context.progress({ phase: 'Compressing', done: 0, total: plan.size, unit: 'tensors' });
  await planModel(
    { source, plan, store, threads, calibration: spec.calibration, samples: spec.samples, window: spec.window, folder },
    context,
    (done, message) =>
      context.progress({ phase: 'Compressing', done, total: plan.size, unit: 'tensors', message, layers: layers(done, plan.size) }),
  );
  const points = chosen && (await measuredPoints({ ...context, spec, source, plan, folder, threads, calibration }, { store, ...chosen }));
  const written = await writer.write({
    source,
    planned: store,
    folder,
    signal: context.signal,
    stored: (name, bytes) => {
      stored.set(name, bytes);
      context.progress({
        phase: 'Writing',
        done: stored.size,
        total: plan.size,
        unit: 'tensors',
        message: name,
        layers: layers(stored.size, plan.size),
      });
    },
    note: context.note,
  });
  const reports = [...layerReports(source, store, writer, stored, written), ...leftAlone(source, chosen)];
  // Beside the verification, which computes in the runtime for most of its time.
  const hashing = hashSource(source, context.signal, threads);
  // Awaited below; an error before that must not end the process.
  hashing.catch(() => undefined);
  const { blockErrorLimit } = findQuantizer(spec.method);
  const { verification, latency } = await verifyOutput({ source, planned: store, folder, written, writer, context, blockErrorLimit });
  // What was planned is in the output now; its temporary file must not be.
  await store.dispose();
  context.progress({ phase: 'Hashing the source', done: 0, total: 1, unit: 'steps' });
  const files = await hashing;
  // Verification read the source until now.
  await refuseChangedFiles((source.original ?? source).files);
  const outputs = await listFiles(folder);
  const weights = sumOf(reports, (layer) => layer.weights);
  const report: CompressReport = {
    kind: 'compress',
    version,
    method: spec.method,
    format: spec.format,
    settings: settingsOf(spec),
    source: { path: resolve(spec.model), architecture: source.architecture, files },
    seed: spec.seed ?? 0,
    parameterCount: sumOf([...source.tensors.values()], ({ entry }) => elementCount(entry.shape)),
    bitsPerWeight: weights > 0 ? sumOf(reports, (layer) => layer.bitsPerWeight * layer.weights) / weights : storedBits(source),
    bytesBefore: sumOf(files.filter(isWeightFile), ({ bytes }) => bytes),
    bytesAfter: sumOf(outputs.filter(isWeightFile), ({ bytes }) => bytes),
    ...(written.loadedBytes === undefined ? {} : { loadedBytes: written.loadedBytes }),
    layers: reports,
    verification,
    ...(latency === undefined ? {} : { latency }),
    environment: context.runtime.environment,
    seconds: (performance.now() - started) / 1000,
    peakRssBytes: peakResidentBytes(),
    outputs,
    primary: written.primary,
    notes: [
      sizeNote(reports, writer),
      ...typeNotes(source),
      ...source.container.diagnostics.filter(({ severity }) => severity === 'warning').map(({ message }) => message),
      ...run.notes,
    ],
    ...(chosen && points ? { allocation: { ...chosen.allocation, curve: [...chosen.allocation.curve, ...points] } } : {}),
  };
  await writeFile(join(folder, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  return report;
}

/** So many tensors are listed anew at every step; with more, the list is made at most so often, or its time would grow with their square. */
const listedAlways = 100;
const listedEveryMs = 100;

/** A list for progress, from its maker: the last one where making it again would take longer than the work. */
function rarely<T>(make: () => readonly T[]): (done: number, total: number) => readonly T[] {
  let list: readonly T[] = [];
  let made = -Infinity;
  return (done, total) => {
    if (done <= listedAlways || done === total || performance.now() - made >= listedEveryMs) {
      list = make();
      made = performance.now();
    }
    return list;
  };
}

/** Tensors that the budget keeps unchanged: counted, so that bits per weight match the budget. */
function leftAlone({ tensors }: ModelSource, chosen: ChosenWidths | undefined): readonly LayerReport[] {
  return [...(chosen?.leftAlone ?? [])].map((name): LayerReport => {
    const { shape, bytes } = tensors.get(name)!.entry;
    const weights = elementCount(shape);
    return {
      name,
      shape,
      bits: 16,
      bitsPerWeight: (bytes * 8) / weights,
      weights,
      relativeError: 0,
      bytesBefore: bytes,
      bytesAfter: bytes,
    };
  });
}

function sizeNote(layers: readonly LayerReport[], { dequantised }: OutputWriter): string {
  if (layers.length === 0) return 'No weight was compressed.';
  const [before, after] = [sumOf(layers, ({ bytesBefore }) => bytesBefore), sumOf(layers, ({ bytesAfter }) => bytesAfter)];
  const why = dequantised ? ': this format keeps the source type so that every tool can read it; the onnx formats store the codes' : '';
  return `The compressed layers went from ${formatBytes(before)} to ${formatBytes(after)}${why}.`;
}

function settingsOf(spec: CompressSpec): Readonly<Record<string, unknown>> {
  return {
    ...Object.fromEntries(findQuantizer(spec.method).parameters.map(({ key, default: value }) => [key, spec.parameters[key] ?? value])),
    ...(spec.tensors === undefined ? {} : { tensors: spec.tensors }),
    ...(spec.budget === undefined ? {} : { bits: 'by budget', budget: spec.budget, unit: spec.unit ?? 'tensor' }),
    ...(spec.calibration === undefined ? {} : { calibration: spec.calibration }),
    ...(spec.samples === undefined ? {} : { samples: spec.samples }),
    ...(spec.window === undefined ? {} : { window: spec.window }),
    ...(spec.overrides === undefined || spec.overrides.length === 0 ? {} : { overrides: spec.overrides }),
    embeddings: spec.embeddings === true,
    head: spec.head === true,
  };
}

/** Bits per value over all written tensors: the bits per weight of a conversion. */
function storedBits(source: ModelSource): number {
  const entries = [...source.tensors.values()].map(({ entry }) => entry);
  return (
    (sumOf(entries, ({ bytes }) => bytes) * 8) /
    Math.max(
      1,
      sumOf(entries, ({ shape }) => elementCount(shape)),
    )
  );
}

/** One sentence for each type that is written in place of another. */
function typeNotes(source: ModelSource): readonly string[] {
  const changes = new Map<string, number>();
  for (const { entry } of source.tensors.values()) {
    if (entry.storedDType === undefined || entry.storedDType === entry.dtype) continue;
    const change = `${entry.storedDType} written as ${entry.dtype}`;
    changes.set(change, (changes.get(change) ?? 0) + 1);
  }
  return [...changes].map(([change, count]) => `${count} ${count === 1 ? 'tensor' : 'tensors'} of type ${change}.`);
}

function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
