import { createHash } from 'node:crypto';
import { lstat, writeFile } from 'node:fs/promises';
import type { CalibrateReport, CalibrateSpec } from '../../protocol/calibration';
import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import { dataFiles } from '../formats/dataFiles';
import { createOutputFile } from '../formats/files/outputFolder';
import { openTextModel, weightBytes, type TextModel } from '../generate/openTextModel';
import { hashFiles } from '../models/hashFile';
import type { JobEstimate } from '../runtime/estimate';
import type { WorkContext } from '../runtime/workContext';
import { formatSample, type CalibrationSample } from './calibrationSet';
import { sequenceStatistics, setStatistics, writtenPerplexity } from './setStatistics';
import { sourceOf } from './sources';
import { scriptShares } from './textScripts';
import type { SourceSequence } from './sources/source';

/** The default length is at most this: the one of the published studies. */
const largestDefaultLength = 2048;
/** Characters of a sample in the report. */
const beginningLength = 80;
/** Multiply-adds a second in batches, and bytes read, taken low; rough figures for two cores. */
const flopsPerSecond = 20e9;
const readBytesPerSecond = 300e6;
/** Of a line, for each token: its id and its text. */
const bytesPerToken = 11;

/**
 * Makes calibration samples and writes them to a file. Errors: `invalid-argument` for a length that the context does not hold and a file that exists; those of the source, of opening and running
 * the model; `insufficient-disk`, `cancelled`. A failed run leaves no file.
 */
export async function calibrateModel(spec: CalibrateSpec, context: WorkContext): Promise<CalibrateReport> {
  const start = performance.now();
  await refuseExisting(spec.out);
  const model = await openTextModel(spec.model);
  try {
    const length = lengthOf(spec, model);
    const source = sourceOf(spec);
    const choices = [...source.describe({ spec, model, length }), ...model.notes];
    for (const choice of choices) context.note(choice);
    context.progress({ phase: 'Reading the model', done: 0, unit: 'files' });
    const hash = await hashOfWeights(model, context.signal);
    const making = performance.now();
    const sequences = await source.sequences({ spec, model, length, context });
    const generatingSeconds = (performance.now() - making) / 1000;
    const { provider } = context.runtime.environment;
    const samples = sequences.map(({ ids, origin }, sequence): CalibrationSample => ({
      ids,
      text: model.tokenizer.decode(ids),
      origin: { source: source.name, seed: context.seed, sequence, ...origin, model: hash, provider },
    }));
    const lines = samples.map(formatSample).join('');
    const ids = samples.map((sample) => sample.ids);
    const perplexityOf = (written: readonly SourceSequence[]) => {
      const perplexity = writtenPerplexity(written, { start: model.beginning?.id, ends: model.ends });
      return perplexity === undefined ? {} : { perplexity };
    };
    const tokens = samples.length * length;
    context.progress({ phase: 'Statistics', done: 0, unit: 'samples' });
    const statistics = {
      ...setStatistics(ids, { vocabularySize: model.vocabularySize, start: model.beginning?.id }),
      ...perplexityOf(sequences),
      scripts: scriptShares(samples.map(({ text }) => text).join('\n')),
    };
    const perSample = samples.map((sample, index) => ({
      ...sequenceStatistics([sample.ids]),
      ...perplexityOf(sequences.slice(index, index + 1)),
      beginning: sample.text.trim().slice(0, beginningLength),
    }));
    // A cancellation that came meanwhile is heard in the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    throwIfCancelled(context.signal);
    // Last: what is cancelled or fails before leaves no file.
    await refuseExisting(spec.out);
    const output = await createOutputFile(spec.out);
    try {
      await writeFile(output.path, lines);
      await output.commit();
    } finally {
      await output.discard();
    }
    return {
      kind: 'calibrate',
      source: source.name,
      samples: samples.length,
      length,
      tokens,
      model: hash,
      seed: context.seed,
      statistics,
      perSample,
      choices,
      environment: context.runtime.environment,
      seconds: (performance.now() - start) / 1000,
      generatingSeconds,
      tokensPerSecond: tokens / generatingSeconds,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      out: spec.out,
      bytes: Buffer.byteLength(lines),
    };
  } finally {
    await model.close();
  }
}

/** Memory, disk and time, from headers. Errors: as `calibrateModel` before it runs. */
export async function estimateCalibrate(spec: CalibrateSpec): Promise<JobEstimate> {
  await refuseExisting(spec.out);
  const model = await openTextModel(spec.model);
  try {
    const length = lengthOf(spec, model);
    const source = sourceOf(spec);
    source.describe({ spec, model, length });
    const { bytes, parameters } = weightBytes(model.container);
    const tokens = spec.samples * length;
    return {
      hostMemoryBytes: (await model.memory(source.batch(model, length), length)) + 40 * tokens,
      diskBytes: bytesPerToken * tokens,
      seconds: 1 + (2 * bytes) / readBytesPerSecond + (parameters * source.written({ spec, model, length })) / flopsPerSecond,
      notes: model.notes,
    };
  } finally {
    await model.close();
  }
}

function lengthOf({ length }: CalibrateSpec, { contextLength }: TextModel): number {
  if (length === undefined) return Math.min(contextLength, largestDefaultLength);
  if (length <= contextLength) return length;
  throw new LoomweightError(
    'invalid-argument',
    `Samples of ${length} tokens exceed the model's context of ${contextLength}. Use shorter ones.`,
    { length, contextLength },
  );
}

/** As `SampleOrigin.model` says. */
async function hashOfWeights({ container }: TextModel, signal: AbortSignal | undefined): Promise<string> {
  const digests = await hashFiles(dataFiles(container), undefined, signal);
  return digests.length === 1 ? (digests[0] as string) : createHash('sha256').update(digests.join('')).digest('hex');
}

/** A set may have been sorted by hand: it is never replaced. */
async function refuseExisting(file: string): Promise<void> {
  const status = await lstat(file).catch(() => undefined);
  if (status === undefined) return;
  throw new LoomweightError('invalid-argument', `The output ${file} already exists. Choose another name, or delete it first.`, {
    path: file,
  });
}
