import { basename } from 'node:path';
import { LoomweightError } from '../../../protocol/errors';
import type { TrainSpec } from '../../../protocol/training';
import { readText } from '../../formats/files/readText';
import { checkTokens } from '../../text/checkTokens';
import { hasTokenizer, loadTokenizer, parseTokenizer, type TextTokenizer } from '../../text/tokenizer';
import { cutWindows, inputIds, targetIds, type TextWindows } from '../../text/windows';
import type { BatchSource } from '../batches';
import type { OpenTrainable, TextSettings } from '../models/graphTrainable';
import { PoolRandom } from '../poolRandom';
import { Mixture } from './mixture';
import { Permutations } from './permutation';
import { weightedFiles, type WeightedFile } from './textSources';
import type { HeldOutData, TrainingData } from './trainingData';

/** Without a text of its own for validation: one window in so many at the end of the first source, and no more than so many, are held out. */
const heldOutPart = 20;
const mostHeldOut = 64;

/**
 * Token windows for a language model, as the perplexity protocol has them: text encoded whole without special tokens; the model reads BOS and a window's
 * tokens but the last, and predicts all (without a BOS it reads all but the last and predicts all but the first). Each pass over a text is a new seeded
 * permutation of its windows, with the grid of windows shifted by a seeded number of tokens. Held out: the windows of `validation`, or the end of the first text.
 */
export async function openTextData(
  spec: Pick<TrainSpec, 'data' | 'loss' | 'validation'>,
  model: OpenTrainable,
  seed: number,
): Promise<TrainingData> {
  if (spec.loss !== 'auto' && spec.loss !== 'cross-entropy')
    throw new LoomweightError('invalid-argument', `Training on text uses the cross-entropy of the next token, not '${spec.loss}'.`, {
      loss: spec.loss,
    });
  const text = model.text as TextSettings;
  const inside = text.inside && parseTokenizer(text.inside, model.name);
  const tokenizer = inside && !(await hasTokenizer(text.folders)) ? inside : await loadTokenizer(text.folders);
  const files = await weightedFiles(spec.data);
  const ids = await Promise.all(files.map(({ file }) => encode(file, tokenizer, text)));
  const bos = tokenizer.beginning(text.bosTokenId)?.id;
  const validation =
    spec.validation === undefined
      ? holdOut(ids, files, text.window)
      : { windows: cutWindows(await encode(spec.validation, tokenizer, text), text.window), description: basename(spec.validation) };
  return {
    kind: 'text',
    loss: 'cross-entropy',
    train: textBatches(ids, files, { window: text.window, bos, seed }),
    evaluation: heldOutWindows(validation.windows, bos, validation.description),
    choices: [
      `windows of ${text.window} tokens${bos === undefined ? ', the first of each not predicted (no BOS)' : `, each after BOS ${bos}`}`,
      `validated on ${validation.windows.count} windows of ${validation.description}`,
      ...(files.length > 1
        ? [`mixed: ${files.map(({ file, share }) => `${basename(file)} ${(share * 100).toFixed(1)} %`).join(', ')}`]
        : []),
    ],
  };
}

async function encode(file: string, tokenizer: TextTokenizer, { vocabularySize }: TextSettings): Promise<Int32Array> {
  const ids = Int32Array.from(tokenizer.encode(await readText(file)));
  checkTokens(ids, vocabularySize);
  return ids;
}

/** Takes the end of the first text away from training. */
function holdOut(
  ids: Int32Array[],
  files: readonly WeightedFile[],
  window: number,
): { readonly windows: TextWindows; readonly description: string } {
  const first = ids[0] as Int32Array;
  const available = Math.floor(first.length / window);
  const count = Math.min(mostHeldOut, Math.max(1, Math.floor(available / heldOutPart)));
  if (available < 2)
    throw new LoomweightError(
      'invalid-argument',
      `The text has ${first.length} tokens, but training needs at least two windows of ${window}, one of them for validation. Use a longer text or a smaller window.`,
      { tokens: first.length, window },
    );
  const border = first.length - count * window;
  ids[0] = first.subarray(0, border);
  return {
    windows: cutWindows(first.subarray(border), window),
    description: `the end of ${basename((files[0] as WeightedFile).file)}, held out`,
  };
}

interface TextBatchOptions {
  readonly window: number;
  readonly bos: number | undefined;
  readonly seed: number;
}

/** Batches of windows from several texts by their shares. */
function textBatches(ids: readonly Int32Array[], files: readonly WeightedFile[], { window, bos, seed }: TextBatchOptions): BatchSource {
  const sources = ids.map((tokens, index) => new ShiftedWindows(tokens, window, seed, index));
  const mixture = new Mixture(
    files.map(({ share }) => share),
    seed,
  );
  return {
    description: files.map(({ file }) => basename(file)).join(', '),
    samples: sources.reduce((sum, { count }) => sum + count, 0),
    batch: (step, batch) => {
      const targets = new Int32Array(batch * window);
      for (let row = 0; row < batch; row += 1) {
        const { source, position } = sources.length === 1 ? { source: 0, position: step * batch + row } : mixture.at(step * batch + row);
        targets.set((sources[source] as ShiftedWindows).at(position), row * window);
      }
      return asBatch({ window, count: batch, targets }, 0, batch, bos);
    },
  };
}

/** Windows of one text: in each pass the grid starts at another token and the windows come in another order. */
class ShiftedWindows {
  readonly count: number;
  private readonly shifts: number;
  private readonly order: Permutations;

  constructor(
    private readonly ids: Int32Array,
    private readonly window: number,
    private readonly seed: number,
    private readonly source: number,
  ) {
    if (ids.length < window)
      throw new LoomweightError(
        'invalid-argument',
        `The text has ${ids.length} tokens, but one window needs ${window}. Use a longer text or a smaller window.`,
        { tokens: ids.length, window },
      );
    this.count = Math.max(1, Math.floor((ids.length - window + 1) / window));
    this.shifts = Math.min(window, ids.length - this.count * window + 1);
    this.order = new Permutations(this.count, seed, source);
  }

  at(position: number): Int32Array {
    const { sample, pass } = this.order.sampleAt(position);
    const shift = new PoolRandom(this.seed, pass, 0x5417 + this.source).nextBelow(this.shifts);
    const start = shift + sample * this.window;
    return this.ids.subarray(start, start + this.window);
  }
}

function heldOutWindows(windows: TextWindows, bos: number | undefined, description: string): HeldOutData {
  return { description, samples: windows.count, slice: (first, count) => asBatch(windows, first, count, bos) };
}

function asBatch(windows: TextWindows, first: number, count: number, bos: number | undefined): ReturnType<BatchSource['batch']> {
  const sequence = bos === undefined ? windows.window - 1 : windows.window;
  const shape = [count, sequence];
  return {
    input_ids: { dtype: 'int64', shape, data: inputIds(windows, first, count, bos) },
    label: { dtype: 'int64', shape, data: targetIds(windows, first, count, bos) },
  };
}
