import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { LoomweightError } from '../../protocol/errors';
import { quoteName } from '../formats/malformed';
import { graphName } from '../formats/archive/unpackedGraph';
import type { TensorContainer } from '../formats/container';
import { dataFiles } from '../formats/dataFiles';
import { resolveModel } from './openContainer';

/** What tells a file from one that took its place, or from itself before it was written to. */
interface FileState {
  readonly device: bigint;
  readonly inode: bigint;
  readonly bytes: bigint;
  /** When the content last changed, in nanoseconds. A new name or other permissions do not count. */
  readonly modified: bigint;
}

/** Files of a model by path, as they were when it was opened. */
export type SourceFiles = ReadonlyMap<string, FileState>;

/** Paths of a model's files: companions (config, tokenizer), then everything that holds weights or a graph. */
export function sourcePaths(container: TensorContainer): readonly string[] {
  return [...(container.companions ?? []), ...dataFiles(container)];
}

/**
 * Notes files that a model may consist of, before anything is read of it: those of its directory, or the file that it is opened by and the graph beside an archive. Errors: those of
 * `resolveModel`.
 */
export async function noteBeforeOpening(model: string): Promise<SourceFiles> {
  const { path, isDirectory } = await resolveModel(model);
  const names = isDirectory ? await readdir(path) : [basename(path), graphName];
  const folder = isDirectory ? path : dirname(path);
  const noted = await Promise.allSettled(names.map((name) => noteFiles([join(folder, name)])));
  return new Map(noted.flatMap((result) => (result.status === 'fulfilled' ? [...result.value] : [])));
}

/** Notes the state of files. Errors: those of the file system. */
export async function noteFiles(paths: readonly string[]): Promise<SourceFiles> {
  return new Map(await Promise.all(paths.map(async (path) => [path, await stateOf(path)] as const)));
}

/** Throws `malformed-file` if a file is no longer the one that was noted: what was read of it then belongs to no single file. */
export async function refuseChangedFiles(files: SourceFiles): Promise<void> {
  for (const [path, before] of files) {
    const now = await stateOf(path).catch(() => undefined);
    const same = now && (Object.keys(before) as (keyof FileState)[]).every((key) => now[key] === before[key]);
    if (same) continue;
    throw new LoomweightError(
      'malformed-file',
      `The source was ${now === undefined ? 'removed' : now.inode === before.inode ? 'written to' : 'replaced'} while the job read it: ${quoteName(path)}. ` +
        'The result would belong to neither version, so no output was written. Run the job again when no other program changes the model.',
      { path },
    );
  }
}

async function stateOf(path: string): Promise<FileState> {
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
  return { device: dev, inode: ino, bytes: size, modified: mtimeNs };
}
