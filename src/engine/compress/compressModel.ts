import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { formatBytes } from '../../common/units';
import { throwIfCancelled } from '../../protocol/errors';
import type { CompressSpec, JobProgress } from '../../protocol/jobs';
import type { CompressReport, LatencyReport, LayerReport, Verification } from '../../protocol/report';
import { version } from '../../../package.json';
import { createOutputFolder } from '../formats/files/outputFolder';
import type { Runtime } from '../runtime/types';
import { chooseWidths } from './budget/chooseWidths';
import type { ChosenWidths } from './budget/chosenWidths';
import { findExporter } from '../outputs/writers';
import type { Exporter, ExportResult } from '../outputs/writers/exporter';
import { failedVerification } from '../outputs/verification/failedVerification';
import { isWeightFile, listFiles } from '../outputs/outputFiles';
import { PeakMeter } from '../outputs/peakMeter';
import { makePlan, prepareSource, type CompressPlan, type TensorPlan } from './plan';
import { findQuantizer } from './quantizers';
import { groupingOf } from './quantizers/parameters';
import { dequantize, TensorQuantizer } from './quantizeTensor';
import { refuseInPlace } from '../models/refuseInPlace';
import type { QuantizedMatrix } from './quantizers/quantizer';
import { hashSource, openSource, type CompressSource } from '../models/modelSource';
import { verifyResult } from '../outputs/verification/verifyResult';

/** What a compression is given by whoever runs it. */
export interface CompressContext {
  readonly runtime: Runtime;
  readonly signal?: AbortSignal;
  /** Host memory limit in bytes; decides whether the whole model is run for verification. */
  readonly memoryLimit?: number;
  readonly progress?: (step: Pick<JobProgress, 'phase' | 'done' | 'total' | 'unit' | 'message' | 'layers'>) => void;
  /** Samples the resident size; the job's peak ends in the report. Default: this process. */
  readonly residentBytes?: () => number;
}

type ProgressLayer = NonNullable<JobProgress['layers']>[number];

/**
 * Compresses a model into a new folder: plans and writes one tensor after the other, reads everything back, runs it, and only then moves the
 * folder to its name. Whatever fails or is cancelled leaves nothing behind (`keepFailed` keeps an output that fails verification).
 * Errors: `invalid-argument` (parameters, an output folder that exists and is not empty), `unsupported` (format and model do not fit),
 * `malformed-file`, `verification-failed`, `insufficient-disk`, `cancelled`.
 */
export async function compressModel(spec: CompressSpec, context: CompressContext): Promise<CompressReport> {
  const started = performance.now();
  const peak = new PeakMeter(context.residentBytes ?? (() => process.memoryUsage.rss()));
  await refuseInPlace(spec);
  const exporter = findExporter(spec.format);
  const opened = await openSource(spec.model);
  try {
    const source = prepareSource(opened, spec);
    const planned = makePlan(source, spec);
    const notes: string[] = [];
    const chosen = spec.budget === undefined ? undefined : await underBudget(spec, source, planned, exporter, context, peak, notes);
    const plan = chosen?.plan ?? planned;
    exporter.check(source, plan);
    const output = await createOutputFolder(spec.out);
    const run = new CompressionRun(spec, source, plan, exporter, context, peak, chosen, notes);
    try {
      const report = await run.write(output.path, started);
      throwIfCancelled(context.signal);
      if (!report.verification.passed && !spec.keepFailed) throw failedVerification(report);
      await output.commit();
      if (!report.verification.passed) throw failedVerification(report, spec.out);
      return report;
    } catch (error) {
      await output.discard();
      throw error;
    } finally {
      await run.close();
    }
  } finally {
    peak.stop();
    await opened.container.close();
  }
}

/** The plan with widths chosen under the budget. */
function underBudget(
  spec: CompressSpec,
  source: CompressSource,
  plan: CompressPlan,
  exporter: Exporter,
  { runtime, signal, memoryLimit, progress }: CompressContext,
  peak: PeakMeter,
  notes: string[],
): Promise<ChosenWidths> {
  return chooseWidths({
    spec,
    source,
    plan,
    exporter,
    runtime,
    signal,
    memoryLimit,
    progress: (done, total) => {
      peak.sample();
      progress?.({ phase: 'Measuring sensitivity', done, total, unit: 'steps' });
    },
    note: (text) => notes.push(text),
  });
}

/** One compression, from plan to report. */
class CompressionRun {
  private readonly layers: LayerReport[] = [];
  private readonly relativeErrors = new Map<string, number>();
  private readonly quantizer: TensorQuantizer;

  constructor(
    private readonly spec: CompressSpec,
    private readonly source: CompressSource,
    private readonly plan: CompressPlan,
    private readonly exporter: Exporter,
    private readonly context: CompressContext,
    private readonly peak: PeakMeter,
    private readonly chosen: ChosenWidths | undefined,
    private readonly notes: string[],
  ) {
    const names = source.decoder?.architecture.expectedTensors(source.decoder.config).map(({ name }) => name) ?? [...source.tensors.keys()];
    this.quantizer = new TensorQuantizer(
      source,
      names.filter((name) => plan.has(name)),
    );
  }

  async close(): Promise<void> {
    await this.quantizer.close();
  }

  async write(folder: string, started: number): Promise<CompressReport> {
    const { spec, source, plan, exporter, context } = this;
    this.report('Compressing', 0, plan.size, 'tensors');
    const result = await exporter.write({
      source,
      plan,
      folder,
      signal: context.signal,
      quantize: (name) => this.quantize(name),
      stored: (name, bytes) => this.stored(name, bytes),
      note: (text) => this.notes.push(text),
    });
    for (const name of this.chosen?.leftAlone ?? []) this.leftAlone(name);
    const { verification, latency } = await this.verify(folder, result);
    this.report('Hashing the source', 0, 1, 'steps');
    const files = await hashSource(source, context.signal);
    const bytesBefore = sumOf(this.layers, ({ bytesBefore }) => bytesBefore);
    const outputs = await listFiles(folder);
    const weights = sumOf(this.layers, (layer) => layer.weights);
    const report: CompressReport = {
      kind: 'compress',
      version,
      method: spec.method,
      format: spec.format,
      settings: settingsOf(spec),
      source: { path: resolve(spec.model), architecture: source.architecture, files },
      seed: spec.seed ?? 0,
      parameterCount: sumOf([...source.tensors.values()], ({ entry }) => entry.shape.reduce((product, length) => product * length, 1)),
      bitsPerWeight: weights > 0 ? sumOf(this.layers, (layer) => layer.bitsPerWeight * layer.weights) / weights : storedBits(source),
      bytesBefore: sumOf(files.filter(isWeightFile), ({ bytes }) => bytes),
      bytesAfter: sumOf(outputs.filter(isWeightFile), ({ bytes }) => bytes),
      ...(result.loadedBytes === undefined ? {} : { loadedBytes: result.loadedBytes }),
      layers: this.layers,
      verification,
      ...(latency === undefined ? {} : { latency }),
      environment: context.runtime.environment,
      seconds: (performance.now() - started) / 1000,
      peakRssBytes: this.peak.bytes(),
      outputs,
      primary: result.primary,
      notes: [
        this.layers.length === 0
          ? 'No weight was compressed.'
          : `The compressed layers took ${formatBytes(bytesBefore)} and take ${formatBytes(sumOf(this.layers, ({ bytesAfter }) => bytesAfter))}${
              this.exporter.dequantised
                ? ': this format keeps the source type, so that every tool reads it; the onnx formats store the codes'
                : ''
            }.`,
        ...typeNotes(source),
        ...source.container.diagnostics.filter(({ severity }) => severity === 'warning').map(({ message }) => message),
        ...this.notes,
      ],
      ...(this.chosen === undefined ? {} : { allocation: this.chosen.allocation }),
    };
    await writeFile(join(folder, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`);
    return report;
  }

  private async quantize(name: string): Promise<QuantizedMatrix> {
    throwIfCancelled(this.context.signal);
    const { matrix, relativeError } = await this.quantizer.quantize(this.plan.get(name) as TensorPlan);
    this.relativeErrors.set(name, relativeError);
    return matrix;
  }

  private stored(name: string, bytesAfter: number): void {
    const planned = this.plan.get(name) as TensorPlan;
    const weights = planned.tensor.shape[0] * planned.tensor.shape[1];
    const { codeBits, scaleBits, zeroPointBits } = planned.estimate;
    this.layers.push({
      name,
      shape: planned.storedShape,
      ...widthsOf(planned),
      bitsPerWeight: (this.exporter.dequantised ? codeBits + scaleBits + zeroPointBits : bytesAfter * 8) / weights,
      weights,
      relativeError: this.relativeErrors.get(name) ?? 0,
      bytesBefore: this.source.tensors.get(name)?.entry.bytes ?? 0,
      bytesAfter,
    });
    this.report('Compressing', this.layers.length, this.plan.size, 'tensors', name);
  }

  /** A tensor that the budget leaves as it is: counted, so that bits per weight are those the budget speaks of. */
  private leftAlone(name: string): void {
    const { entry } = this.source.tensors.get(name)!;
    const weights = entry.shape.reduce((product, length) => product * length, 1);
    const bitsPerWeight = (entry.bytes * 8) / weights;
    this.layers.push({
      name,
      shape: entry.shape,
      bits: 16,
      bitsPerWeight,
      weights,
      relativeError: 0,
      bytesBefore: entry.bytes,
      bytesAfter: entry.bytes,
    });
  }

  private async verify(folder: string, result: ExportResult): Promise<{ verification: Verification; latency: LatencyReport | undefined }> {
    const { source, plan, context, spec } = this;
    return verifyResult({
      source,
      plan,
      folder,
      result,
      runtime: context.runtime,
      signal: context.signal,
      memoryLimit: context.memoryLimit,
      seed: spec.seed ?? 0,
      relativeErrors: this.relativeErrors,
      planAgain: async (name) => dequantize((await this.quantizer.quantize(plan.get(name) as TensorPlan)).matrix),
      progress: (phase, done, total) => this.report(phase, done, total, 'steps'),
      note: (text) => this.notes.push(text),
    });
  }

  private report(phase: string, done: number, total: number, unit: string, message?: string): void {
    this.peak.sample();
    this.context.progress?.({
      phase,
      done,
      total,
      unit,
      ...(message === undefined ? {} : { message }),
      layers: this.layers.map(progressLayer),
    });
  }
}

/** Bits of a code; where groups differ, their mean over weights and how many weights have which. */
function widthsOf({ tensor: { shape }, parameters, groupBits }: TensorPlan): Pick<LayerReport, 'bits' | 'histogram'> {
  if (groupBits === undefined) return { bits: Number(parameters['bits']) };
  const [rows, columns] = shape;
  const { groupSize, groupsPerRow } = groupingOf(rows, columns, parameters);
  const weights = new Map<number, number>();
  groupBits.forEach((bits, group) => {
    const length = Math.min(groupSize, columns - (group % groupsPerRow) * groupSize);
    weights.set(bits, (weights.get(bits) ?? 0) + length);
  });
  const widths = [...weights.keys()].sort((a, b) => a - b);
  const counts = widths.map((bits) => weights.get(bits) as number);
  return {
    bits: widths.reduce((sum, bits, index) => sum + bits * (counts[index] as number), 0) / (rows * columns),
    histogram: { bits: widths, weights: counts },
  };
}

function progressLayer({ name, bits, weights, relativeError, bytesBefore, bytesAfter, histogram }: LayerReport): ProgressLayer {
  return { name, bits, weights, relativeError, bytesBefore, bytesAfter, ...(histogram ? { histogram } : {}) };
}

function settingsOf(spec: CompressSpec): Readonly<Record<string, unknown>> {
  return {
    ...Object.fromEntries(findQuantizer(spec.method).parameters.map(({ key, default: value }) => [key, spec.parameters[key] ?? value])),
    ...(spec.tensors === undefined ? {} : { tensors: spec.tensors }),
    ...(spec.budget === undefined ? {} : { bits: 'by budget', budget: spec.budget, unit: spec.unit ?? 'tensor' }),
    ...(spec.calibration === undefined ? {} : { calibration: spec.calibration }),
    ...(spec.overrides === undefined || spec.overrides.length === 0 ? {} : { overrides: spec.overrides }),
    embeddings: spec.embeddings === true,
    head: spec.head === true,
  };
}

/** Bits a value of all tensors as they are written: what a conversion has for bits per weight. */
function storedBits(source: CompressSource): number {
  const entries = [...source.tensors.values()].map(({ entry }) => entry);
  const values = sumOf(entries, ({ shape }) => shape.reduce((product, length) => product * length, 1));
  return (sumOf(entries, ({ bytes }) => bytes) * 8) / Math.max(1, values);
}

/** One sentence for each type that is written in place of another. */
function typeNotes(source: CompressSource): readonly string[] {
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
