import { SeededRandom } from '../../../common/random';
import { LoomweightError } from '../../../protocol/errors';
import type { DecoderConfig } from '../../architectures/architecture';
import { findCalibrationSet, type CalibrationSample } from '../../calibrate/calibrationSet';
import type { TensorContainer } from '../../formats/container';
import { encodeFile, started } from '../budget/tokenSample';
import type { TokenSample } from '../budget/decoderRuns';

/** Windows, and tokens of a window, where none are given: more change little (docs/benchmarks.md). */
const defaultSamples = 128;
const defaultWindow = 256;

/** What a method is calibrated on. */
export interface CalibrationRequest {
  /** A text, or `random`. Default: random tokens. */
  readonly calibration: string | undefined;
  /** Number of windows. */
  readonly samples?: number | undefined;
  /** Tokens of a window, the start token included. */
  readonly window?: number | undefined;
}

/** Windows and tokens of a window that a calibration asks for. Errors: `invalid-argument` for a window longer than the model's context. */
export function calibrationSize(
  config: Pick<DecoderConfig, 'contextLength'>,
  { samples = defaultSamples, window }: Omit<CalibrationRequest, 'calibration'>,
): { readonly windows: number; readonly length: number } {
  const length = window ?? Math.min(defaultWindow, config.contextLength);
  if (length > config.contextLength)
    throw new LoomweightError(
      'invalid-argument',
      `A calibration window of ${length} tokens is longer than the model's context of ${config.contextLength}. Use --window ${config.contextLength} or less.`,
      { window: length, contextLength: config.contextLength },
    );
  return { windows: samples, length };
}

/**
 * The windows that a method is calibrated on. Of a text, one window from each of as many equal stretches, at a place drawn from the seed; a text too short for that gives all the windows it has,
 * one after another. Of a set that `calibrate` wrote, the first samples, each from its first token, start and end tokens included; where some are shorter than a window, all
 * windows are as short as the shortest. Random tokens are drawn from the seed. Each window begins with the start token where the model has one. Errors: `invalid-argument` for a text that does not
 * fill one window, and those of `encodeFile`.
 */
export async function calibrationWindows(
  container: TensorContainer,
  config: DecoderConfig,
  request: CalibrationRequest,
  seed: number,
): Promise<TokenSample> {
  const { windows: asked, length } = calibrationSize(config, request);
  const random = new SeededRandom(seed + 1);
  const { calibration } = request;
  if (calibration === undefined || calibration === 'random') {
    const ids = BigInt64Array.from({ length: asked * length }, () => BigInt(random.nextBelow(config.vocabularySize)));
    return started({ windows: asked, length, ids }, config.bosTokenId);
  }
  const set = await findCalibrationSet(calibration, config.vocabularySize);
  if (set) return windowsOfSet(set.slice(0, asked), length);
  const tokens = await encodeFile(container, config, calibration);
  const own = config.bosTokenId === undefined ? length : length - 1;
  const windows = Math.min(asked, Math.floor(tokens.length / own));
  if (windows === 0)
    throw new LoomweightError(
      'invalid-argument',
      `The calibration text ${calibration} has ${tokens.length} tokens, but one window needs ${own}. Use a longer text or a smaller --window.`,
      { path: calibration, tokens: tokens.length, needed: own },
    );
  const ids = new BigInt64Array(windows * length);
  for (let window = 0; window < windows; window += 1) {
    const from = windows < asked ? window * own : drawnStart(tokens.length, asked, window, own, random);
    for (let place = 0; place < own; place += 1) ids[window * length + (length - own) + place] = BigInt(tokens[from + place] as number);
  }
  return started({ windows, length, ids }, config.bosTokenId);
}

function windowsOfSet(samples: readonly CalibrationSample[], most: number): TokenSample {
  const length = samples.reduce((least, { ids }) => Math.min(least, ids.length), most);
  return {
    windows: samples.length,
    length,
    ids: BigInt64Array.from(
      samples.flatMap(({ ids }) => ids.slice(0, length)),
      BigInt,
    ),
  };
}

/** Where a window of `own` tokens starts in its stretch of a text of `tokens` tokens. */
function drawnStart(tokens: number, windows: number, window: number, own: number, random: SeededRandom): number {
  const start = Math.floor((window * tokens) / windows);
  const end = Math.floor(((window + 1) * tokens) / windows);
  return start + random.nextBelow(end - start - own + 1);
}

/** What a method was calibrated on, for the report. */
export function calibrationNote(
  label: string,
  { windows, length }: TokenSample,
  { calibration, samples = defaultSamples }: CalibrationRequest,
): string {
  if (calibration === undefined)
    return `${label} was calibrated on random tokens; --calibration with typical text of the model gives better results.`;
  const short = windows < samples && calibration !== 'random' ? ` (the text fills no more than ${windows})` : '';
  return `${label} was calibrated on ${windows} windows of ${length} tokens of ${calibration === 'random' ? 'random text' : calibration}${short}.`;
}
