import { LoomweightError } from '../../protocol/errors';
import { readText } from '../formats/files/readText';

/** Where a sample comes from: with the number of samples, it determines the tokens. */
export interface SampleOrigin {
  /** `self`: written by the model itself; `random`: uniform random tokens; `text`: a piece of a text; `prefix`: the start of a piece, continued by the model. */
  readonly source: string;
  readonly seed: number;
  /** Number of the sequence among all of its seed. */
  readonly sequence: number;
  /** Temperature schedule and limits of the draws; only for text that a model wrote. */
  readonly temperature?: string;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  /** Name of the text, its SHA-256 in hexadecimal, and which of its tokens comes first in the sample. */
  readonly file?: string;
  readonly fileHash?: string;
  readonly position?: number;
  /** Tokens that are from the text, where the model continues it. */
  readonly prefix?: number;
  /** SHA-256 of the weights of the model, in hexadecimal: of its one file, or of the digests of its files in order. */
  readonly model: string;
  readonly provider: string;
}

/** A sequence of tokens that statistics are gathered on. */
export interface CalibrationSample {
  /** With the start token, where the model has one. */
  readonly ids: readonly number[];
  /** Without special tokens. */
  readonly text: string;
  readonly origin: SampleOrigin;
}

/**
 * One sample a line, each with its origin: lines can be dropped, moved and mixed with those of other files. `text` makes the file readable as a corpus of JSON lines too. No times and no paths: a
 * file is a function of model, settings, seed, provider and machine.
 */
export function formatSample({ ids, text, origin }: CalibrationSample): string {
  return `${JSON.stringify({ text, ids, ...origin })}\n`;
}

/** Reads a calibration file. Errors: `malformed-file` with the line, for a line that is no sample, and for tokens that the vocabulary does not have; `invalid-argument` for a file without samples. */
export async function readCalibrationSet(file: string, vocabularySize?: number): Promise<readonly CalibrationSample[]> {
  const lines = (await readText(file)).split('\n');
  const samples = lines.flatMap((line, index) => (line.trim() === '' ? [] : [readSample(line, { file, line: index + 1, vocabularySize })]));
  if (samples.length > 0) return samples;
  throw new LoomweightError('invalid-argument', `${file} has no samples. Make some with 'loomweight calibrate'.`, { path: file });
}

/** The samples of a file that `calibrate` wrote; undefined for any other text. Errors: those of `readCalibrationSet`. */
export async function findCalibrationSet(file: string, vocabularySize: number): Promise<readonly CalibrationSample[] | undefined> {
  if (!file.toLowerCase().endsWith('.jsonl')) return undefined;
  const first = (await readText(file)).split('\n').find((line) => line.trim() !== '') ?? '';
  try {
    const value: unknown = JSON.parse(first);
    if (typeof value !== 'object' || value === null || !('ids' in value)) return undefined;
  } catch {
    // No samples: whoever reads the text says what is wrong with the line.
    return undefined;
  }
  return readCalibrationSet(file, vocabularySize);
}

interface Place {
  readonly file: string;
  readonly line: number;
  readonly vocabularySize: number | undefined;
}

function readSample(line: string, place: Place): CalibrationSample {
  const { ids, text, ...origin } = parsed(line, place);
  if (!Array.isArray(ids) || ids.length === 0 || !ids.every((id) => Number.isSafeInteger(id) && (id as number) >= 0))
    throw malformed(place, 'requires "ids", a list of token ids');
  if (typeof text !== 'string') throw malformed(place, 'requires "text"');
  const largest = (ids as number[]).reduce((most, id) => Math.max(most, id));
  if (place.vocabularySize !== undefined && largest >= place.vocabularySize)
    throw malformed(
      place,
      `has token ${largest}, but the model's vocabulary ends at ${place.vocabularySize - 1}. It was made for another model`,
    );
  const { source, seed, sequence, model, provider } = origin;
  const sound = [source, model, provider].every((value) => typeof value === 'string') && [seed, sequence].every(Number.isSafeInteger);
  if (!sound) throw malformed(place, 'requires "source", "seed", "sequence", "model" and "provider"');
  return { ids: ids as number[], text, origin: origin as unknown as SampleOrigin };
}

function parsed(line: string, place: Place): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Reported below, together with values that are not objects.
  }
  throw malformed(place, 'must be a JSON object');
}

function malformed({ file, line }: Place, problem: string): LoomweightError {
  return new LoomweightError('malformed-file', `Line ${line} of ${file} ${problem}.`, { path: file, line });
}
