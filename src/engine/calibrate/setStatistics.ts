import type { SequenceStatistics, SetStatistics } from '../../protocol/calibration';

/** Lengths of n-grams whose share of different ones is told. */
const distinctLengths = [1, 2, 3] as const;
/** An n-gram of this length that comes again is a repetition. */
const repeatedLength = 4;

/**
 * What token sequences are like. Unigram entropy in bits: -sum p log2 p over the shares p of the tokens. Distinct-n: different n-grams relative to all (Li et al., "A Diversity-Promoting Objective
 * Function", 2016). Repetition: the share of 4-grams that occurred before in the same sequence (Welleck et al., "Neural Text Generation with Unlikelihood Training", 2020). N-grams do not reach
 * from one sequence into the next.
 */
export function sequenceStatistics(sequences: readonly (readonly number[])[]): SequenceStatistics {
  const distinct = distinctLengths.map((length) => {
    const grams = sequences.flatMap((ids) => gramsOf(ids, length));
    return grams.length === 0 ? 0 : new Set(grams).size / grams.length;
  });
  let [again, all] = [0, 0];
  for (const ids of sequences) {
    const grams = gramsOf(ids, repeatedLength);
    again += grams.length - new Set(grams).size;
    all += grams.length;
  }
  return { unigramEntropy: entropyOf(sequences), distinct, repetition: all === 0 ? 0 : again / all };
}

/** The same over a whole set, and how much of the vocabulary it has. `starts`: the token that begins every document, if there is one. */
export function setStatistics(
  sequences: readonly (readonly number[])[],
  { vocabularySize, start }: { readonly vocabularySize: number | undefined; readonly start: number | undefined },
): Omit<SetStatistics, 'scripts'> {
  const used = new Set(sequences.flat());
  return {
    ...sequenceStatistics(sequences),
    differentTokens: used.size,
    ...(vocabularySize !== undefined && { vocabularyCoverage: used.size / vocabularySize }),
    documents: sequences.reduce((sum, ids) => sum + Math.max(1, ids.filter((id) => id === start).length), 0),
    differentSequences: new Set(sequences.map((ids) => ids.join())).size,
  };
}

function entropyOf(sequences: readonly (readonly number[])[]): number {
  const counts = new Map<number, number>();
  let total = 0;
  for (const ids of sequences)
    for (const id of ids) {
      counts.set(id, (counts.get(id) ?? 0) + 1);
      total += 1;
    }
  let entropy = 0;
  for (const count of counts.values()) entropy -= (count / total) * Math.log2(count / total);
  return entropy;
}

function gramsOf(ids: readonly number[], length: number): string[] {
  return Array.from({ length: Math.max(0, ids.length - length + 1) }, (_, at) => ids.slice(at, at + length).join());
}

/**
 * Perplexity of written sequences under their model: exp of the mean negative log probability over the tokens that were written, but for start tokens behind an end token, which are put
 * there. `logProbabilities` in nats, of the last tokens of `ids`. Undefined without any.
 */
export function writtenPerplexity(
  sequences: readonly { readonly ids: readonly number[]; readonly logProbabilities?: readonly number[] }[],
  { start, ends }: { readonly start: number | undefined; readonly ends: readonly number[] },
): number | undefined {
  let [sum, count] = [0, 0];
  for (const { ids, logProbabilities = [] } of sequences)
    for (const [index, value] of logProbabilities.entries()) {
      const at = ids.length - logProbabilities.length + index;
      if (ids[at] === start && ends.includes(ids[at - 1] as number)) continue;
      sum += value;
      count += 1;
    }
  return count === 0 ? undefined : Math.exp(-sum / count);
}
