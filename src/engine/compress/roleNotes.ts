import type { ModelSource, SourceTensor } from '../models/modelSource';
import type { CompressPlan } from './plan';

/** At most so many names are listed in one sentence; numbers in names are written as *, so that the blocks of a model count once. */
const mostNames = 12;

/**
 * Where neither an architecture nor a graph says what a tensor does, its role is a guess from its name. These sentences list the guesses before the job starts and in its report: what is
 * compressed, and what is left alone with how to ask for it.
 */
export function roleNotes(source: ModelSource, plan: CompressPlan): readonly string[] {
  const guessed = [...source.tensors.values()].filter(({ guess }) => guess !== undefined);
  if (guessed.length === 0) return [];
  const compressed = guessed.filter(({ entry }) => plan.has(entry.name));
  const left = (kind: string) =>
    guessed.filter(({ entry, guess }) => guess?.leftAlone?.kind === kind && entry.shape.length >= 2 && !plan.has(entry.name));
  const sentences: string[] = [];
  if (compressed.length > 0)
    sentences.push(
      `No graph says what the tensors of ${source.architecture === 'unknown' ? 'this model' : source.architecture} do: roles are guessed from names. Compressed: ${names(compressed)}.`,
    );
  for (const [kind, what, advice] of kinds) {
    const tensors = left(kind);
    if (tensors.length > 0) sentences.push(`Left alone as ${what} by name: ${names(tensors)} (${advice}).`);
  }
  return sentences;
}

const kinds = [
  ['embedding', 'embeddings', '--embeddings compresses them'],
  ['head', 'output layers', '--head compresses them'],
  ['router', 'routers', 'a --tensors glob with that word compresses them'],
  ['constant', 'constants', 'a --tensors glob with that word compresses them'],
] as const;

function names(tensors: readonly SourceTensor[]): string {
  const counts = new Map<string, number>();
  for (const { entry } of tensors) {
    const pattern = entry.name.replace(/(?<=^|[._/])\d+(?=[._/]|$)/g, '*');
    counts.set(pattern, (counts.get(pattern) ?? 0) + 1);
  }
  const listed = [...counts].slice(0, mostNames).map(([pattern, count]) => (count > 1 ? `${pattern} (${count})` : pattern));
  const more = counts.size - listed.length;
  return listed.join(', ') + (more > 0 ? ` and ${more} more` : '');
}
