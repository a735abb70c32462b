import { countOf, flagOf, listOf, malformedEntry, type Entries } from '../entries';
import { byteFallback, type TokenModel } from './model';

/** How much less likely than the least likely token an unknown character is. */
const unknownPenalty = 10;

/** A node of the tree of tokens, by characters. */
interface TreeNode {
  readonly next: Map<string, TreeNode>;
  id?: number;
}

/**
 * Unigram: the split of a piece with the largest sum of scores (float64); of equal ones, that whose last token starts first. Unknown characters that follow each other
 * are one token, or their bytes where the vocabulary has them.
 */
export function readUnigram(entries: Entries): TokenModel {
  const pieces: string[] = [];
  const scores: number[] = [];
  for (const entry of listOf(entries, 'vocab', 'model')) {
    const [piece, score] = Array.isArray(entry) ? (entry as readonly unknown[]) : [];
    if (typeof piece !== 'string' || typeof score !== 'number') throw malformedEntry('model.vocab', 'pairs of token and score', entry);
    pieces.push(piece);
    scores.push(score);
  }
  const unknown = countOf(entries, 'unk_id', 'model', undefined);
  if (unknown !== undefined && unknown >= pieces.length) throw malformedEntry('model.unk_id', `a number below ${pieces.length}`, unknown);
  const byBytes = flagOf(entries, 'byte_fallback', 'model', false);
  const unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - unknownPenalty;
  const vocabulary = new Map(pieces.map((piece, id) => [piece, id]));
  const tree = treeOf(vocabulary);

  const unknownId = (): number => {
    if (unknown !== undefined) return unknown;
    throw malformedEntry('model.unk_id', 'the id of the unknown token, because the text has other characters,', undefined);
  };
  const emit = (text: string, ids: number[]): void => {
    const id = vocabulary.get(text);
    const bytes = id === undefined && byBytes ? byteFallback(text, vocabulary) : undefined;
    if (bytes) for (const byte of bytes) ids.push(byte);
    else ids.push(id ?? unknownId());
  };

  return {
    vocabulary,
    encode: (piece, ids) => {
      const characters = Array.from(piece);
      const size = characters.length;
      const best = new Float64Array(size + 1);
      const starts = new Int32Array(size + 1).fill(-1);
      const idAt = new Int32Array(size + 1);
      const offer = (start: number, end: number, score: number, id: number): void => {
        const candidate = score + (best[start] as number);
        if (starts[end] !== -1 && candidate <= (best[end] as number)) return;
        best[end] = candidate;
        starts[end] = start;
        idAt[end] = id;
      };
      for (let start = 0; start < size; start += 1) {
        let hasSingle = false;
        let node = tree.next.get(characters[start] as string);
        for (let end = start + 1; node; end += 1) {
          if (node.id !== undefined) {
            offer(start, end, scores[node.id] as number, node.id);
            hasSingle ||= end === start + 1;
          }
          node = end < size ? node.next.get(characters[end] as string) : undefined;
        }
        if (!hasSingle) offer(start, start + 1, unknownScore, unknownId());
      }
      const texts: string[] = [];
      let unknownEnd = -1;
      for (let end = size; end > 0; end = starts[end] as number) {
        const start = starts[end] as number;
        const isUnknown = unknown !== undefined && idAt[end] === unknown;
        if (isUnknown && unknownEnd === -1) unknownEnd = end;
        if (isUnknown) continue;
        if (unknownEnd !== -1) texts.push(characters.slice(end, unknownEnd).join(''));
        unknownEnd = -1;
        texts.push(characters.slice(start, end).join(''));
      }
      if (unknownEnd !== -1) texts.push(characters.slice(0, unknownEnd).join(''));
      for (const text of texts.reverse()) emit(text, ids);
    },
  };
}

function treeOf(vocabulary: ReadonlyMap<string, number>): TreeNode {
  const root: TreeNode = { next: new Map() };
  for (const [piece, id] of vocabulary) {
    let node = root;
    for (const character of piece) {
      let next = node.next.get(character);
      if (!next) node.next.set(character, (next = { next: new Map() }));
      node = next;
    }
    if (node !== root) node.id = id;
  }
  return root;
}
