import path from 'node:path';
import { SeededRandom } from '../../../common/random';
import { LoomweightError } from '../../../protocol/errors';
import type { DecoderConfig } from '../../architectures/architecture';
import type { TensorContainer } from '../../formats/container';
import { checkTokens } from '../../text/checkTokens';
import { openTokenizer } from '../../text/openTokenizer';
import { readTextFile } from '../../text/textLines';
import type { TextWindows } from '../../text/windows';
import type { TokenSample } from './decoderRuns';

/** Tokens of a window and of the whole sample; less where the log probabilities would not stay below `probabilityBytes`. */
const windowTokens = 128;
const sampleTokens = 1024;
const probabilityBytes = 64e6;

/** Length of a window, windows at most, tokens in all, and bytes of the log probabilities of the sample. */
export function sampleLimits(config: DecoderConfig): {
  readonly length: number;
  readonly windows: number;
  readonly tokens: number;
  readonly probabilityBytes: number;
} {
  const length = Math.min(windowTokens, config.contextLength);
  const windows = Math.max(2, Math.floor(Math.min(sampleTokens, probabilityBytes / (4 * config.vocabularySize)) / length));
  return { length, windows, tokens: windows * length, probabilityBytes: 4 * windows * length * config.vocabularySize };
}

/**
 * The sample that a decoder's sensitivity is measured on: windows spread evenly over a text, or seeded random tokens. Errors: `invalid-argument` for a text
 * that does not fill one window, `malformed-file` for JSON lines without text and a tokenizer that does not fit.
 */
export async function tokenSample(
  container: TensorContainer,
  config: DecoderConfig,
  calibration: string | undefined,
  seed: number,
): Promise<TokenSample> {
  const { length, windows: most } = sampleLimits(config);
  if (calibration === undefined || calibration === 'random') {
    const random = new SeededRandom(seed + 1);
    const ids = BigInt64Array.from({ length: most * length }, () => BigInt(random.nextBelow(config.vocabularySize)));
    return started({ windows: most, length, ids }, config.bosTokenId);
  }
  const tokens = await encodeFile(container, config, calibration);
  const own = config.bosTokenId === undefined ? length : length - 1;
  const available = Math.floor(tokens.length / own);
  if (available === 0)
    throw new LoomweightError(
      'invalid-argument',
      `The calibration text ${calibration} has ${tokens.length} tokens, but one window needs ${own}. Use a longer text.`,
      { path: calibration, tokens: tokens.length, needed: own },
    );
  const places = samplePlaces(most, available);
  const windows = places.length;
  const ids = new BigInt64Array(windows * length);
  for (let window = 0; window < windows; window += 1) {
    const from = (places[window] as number) * own;
    for (let place = 0; place < own; place += 1) ids[window * length + (length - own) + place] = BigInt(tokens[from + place] as number);
  }
  return started({ windows, length, ids }, config.bosTokenId);
}

/** What sensitivity was measured on, for the report. */
export function sampleNote({ windows, length }: Pick<TokenSample, 'windows' | 'length'>, calibration: string | undefined): string {
  const tokens = windows * length;
  return calibration === undefined || calibration === 'random'
    ? `Sensitivity was measured on ${tokens} random tokens; --calibration with typical text of the model predicts better.`
    : `Sensitivity was measured on ${tokens} tokens of ${calibration}.`;
}

/** Windows of a text that the sample takes: evenly over it. */
function samplePlaces(most: number, available: number): readonly number[] {
  const windows = Math.min(most, available);
  return Array.from({ length: windows }, (_, window) => Math.floor((window * (available - 1)) / Math.max(1, windows - 1)));
}

/** Windows of the text that the sample does not take, at most twice as many, evenly over it; undefined if it takes all. */
export async function heldOutWindows(
  container: TensorContainer,
  config: DecoderConfig,
  calibration: string,
): Promise<TextWindows | undefined> {
  const { length, windows: most } = sampleLimits(config);
  const tokens = await encodeFile(container, config, calibration);
  const own = config.bosTokenId === undefined ? length : length - 1;
  const available = Math.floor(tokens.length / own);
  const taken = new Set(samplePlaces(most, available));
  const rest = Array.from({ length: available }, (_, window) => window).filter((window) => !taken.has(window));
  if (rest.length === 0) return undefined;
  const places = samplePlaces(2 * most, rest.length).map((index) => rest[index] as number);
  const targets = new Int32Array(places.length * own);
  places.forEach((place, window) => {
    for (let index = 0; index < own; index += 1) targets[window * own + index] = tokens[place * own + index] as number;
  });
  return { window: own, count: places.length, targets };
}

/** Every window begins with the start token, where the model has one. */
export function started(sample: TokenSample, bos: number | undefined): TokenSample {
  if (bos !== undefined) for (let window = 0; window < sample.windows; window += 1) sample.ids[window * sample.length] = BigInt(bos);
  return sample;
}

/** Token ids of a text, or of the `text` of JSON lines. Errors: `malformed-file` for lines without text and a tokenizer that does not fit. */
export async function encodeFile(container: TensorContainer, config: DecoderConfig, file: string): Promise<readonly number[]> {
  const folder = container.format === 'hugging-face' ? container.path : path.dirname(container.path);
  const tokens = (await openTokenizer([folder], container)).encode(await readTextFile(file));
  checkTokens(tokens, config.vocabularySize);
  return tokens;
}
