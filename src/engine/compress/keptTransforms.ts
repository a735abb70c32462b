import type { ModelSource } from '../models/modelSource';

/** Names that a note lists. */
const most = 6;

/** Weights that are left as they are because their values are those of a known transform. `asked`: a glob of names, which asks for all that match. */
export function keptTransforms({ tensors }: ModelSource, asked: string | undefined): readonly string[] {
  return asked === undefined ? [...tensors].flatMap(([name, { fixed }]) => (fixed ? [name] : [])) : [];
}

/** Says before the start which weights were guessed to be no weights. */
export function transformNotes(source: ModelSource, asked: string | undefined): readonly string[] {
  const kept = keptTransforms(source, asked);
  if (kept.length === 0) return [];
  const names = kept.slice(0, most).map((name) => `'${name}' (${source.tensors.get(name)!.fixed})`);
  return [
    `Left as they are, because their values are those of a known transform: ${names.join(', ')}${kept.length > most ? ` and ${kept.length - most} more` : ''}. ` +
      `Name them with --tensors to compress them.`,
  ];
}
