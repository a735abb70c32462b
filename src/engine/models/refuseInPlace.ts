import { realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { LoomweightError } from '../../protocol/errors';

/**
 * Refuses an output that is the model or is inside it, also through a symbolic link. An output that holds the model
 * is not empty and is refused when it is created. Errors: `invalid-argument`.
 */
export async function refuseInPlace(paths: { readonly model: string; readonly out: string }): Promise<void> {
  const [model, out] = [resolve(paths.model), resolve(paths.out)];
  const way = relative(await realPlace(model), await realPlace(out));
  if (way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)) return;
  throw new LoomweightError(
    'invalid-argument',
    `The output ${out} is inside the model ${model}. Models are never modified in place: choose another folder.`,
    { model, out },
  );
}

/** The real location of a path, following links; for a path that does not exist yet, that of its nearest folder. */
async function realPlace(path: string): Promise<string> {
  const real = await realpath(path).catch(() => undefined);
  if (real !== undefined || dirname(path) === path) return real ?? path;
  return join(await realPlace(dirname(path)), basename(path));
}
