import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { LoomweightError } from '../../../protocol/errors';
import { malformedFile, quoteName } from '../malformed';

/**
 * The absolute path of a file named by a model's index, which must be in the model's folder: no absolute path, no `..`, no symbolic link
 * that leads outside. One kind of link is allowed unless `limited`: the Hugging Face download cache stores a model as
 * `snapshots/<revision>/<file>` with every file linked to `../../blobs/<hash>`. Errors: `malformed-file` (`path-escape`, `missing-file`)
 * with `index` as the file and `offset` 0.
 */
export async function containedPath(folder: string, name: string, index: string, limited: boolean): Promise<string> {
  const escape = () =>
    malformedFile(index, 0, 'path-escape', `Files named by the index must be in the model's folder, but ${quoteName(name)} is not`);
  // Both separators on every system: an index written on Windows may be opened on Linux and vice versa.
  const parts = name.split(/[\\/]/);
  if (
    name === '' ||
    name.includes('\0') ||
    path.isAbsolute(name) ||
    /^[a-z]:/i.test(name) ||
    parts.some((part) => part === '..' || part === '')
  )
    throw escape();
  const candidate = path.join(folder, ...parts);
  const real = await realpath(candidate).catch((error: unknown) => {
    const { code } = error as { code?: string };
    if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP' && code !== 'ENAMETOOLONG') throw error;
    throw malformedFile(index, 0, 'missing-file', `The index names ${quoteName(name)}, which is not in ${folder}. Download or copy it`);
  });
  const root = await realpath(folder);
  if (isInside(root, real)) return candidate;
  const cache = path.basename(path.dirname(root)) === 'snapshots' ? path.join(root, '..', '..', 'blobs') : undefined;
  if (!limited && cache !== undefined && isInside(cache, real)) return candidate;
  throw escape();
}

/**
 * Refuses a file or folder that a link leads out of where it may be: out of the folder of `within` that its path is in, or, in none of them, out of
 * its own folder. `model`: what the user named; `path`: the file or folder that was found for it. Error: `unsupported`.
 */
export async function refuseLinkOutside(model: string, target: string, within: readonly string[]): Promise<void> {
  const named = path.resolve(model);
  const own = (await stat(named)).isDirectory() ? named : path.dirname(named);
  const folders = within.map((folder) => path.resolve(folder)).filter((folder) => folder === named || isInside(folder, named));
  const roots = await Promise.all((folders.length > 0 ? folders : [own]).map((folder) => realpath(folder)));
  const real = await realpath(target);
  if (roots.some((root) => root === real || isInside(root, real))) return;
  throw new LoomweightError(
    'unsupported',
    `${target} is a link out of ${folders.length > 0 ? 'the workspace' : own}, and links are not followed in an untrusted workspace. Trust the workspace, or open the file itself.`,
    { path: target, diagnostic: 'link-outside' },
  );
}

/** True if `inner` is below `outer`; both are resolved. */
export function isInside(outer: string, inner: string): boolean {
  const relative = path.relative(outer, inner);
  return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
}
