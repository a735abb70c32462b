import { existsSync } from 'node:fs';
import { link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** The runtime that the package brings, beside the programs. */
const modules = 'node_modules';

/**
 * A folder with the same programs that stays when the editor replaces the extension by another version and removes this one: a job may start threads hours after it
 * began. Files are links of the same disk and take no space. Where that is not possible, and for a source tree (whose runtime is elsewhere), the given folder.
 * `folder`: of all kept programs; those of other versions are removed unless `inUse`.
 */
export async function keepProgram(dist: string, folder: string, inUse: ReadonlySet<string>): Promise<string> {
  if (!existsSync(join(dist, modules))) return dist;
  const { mtimeMs, size } = await stat(join(dist, 'engine.js'));
  const kept = join(folder, `${Math.round(mtimeMs).toString(36)}-${size.toString(36)}`);
  for (const name of await readdir(folder).catch(() => [] as string[])) {
    const other = join(folder, name);
    if (other !== kept && !inUse.has(other)) await rm(other, { recursive: true, force: true }).catch(() => undefined);
  }
  if (existsSync(kept)) return kept;
  const unfinished = `${kept}.${process.pid}.tmp`;
  try {
    // Whatever processes a job starts, their programs are here.
    const programs = (await readdir(dist)).filter((name) => name.endsWith('.js'));
    await linkTree(dist, unfinished, [...programs, modules]);
    await rename(unfinished, kept);
    return kept;
  } catch {
    await rm(unfinished, { recursive: true, force: true }).catch(() => undefined);
    // Another window was faster, or the disk has no links.
    return existsSync(kept) ? kept : dist;
  }
}

async function linkTree(from: string, to: string, names: readonly string[]): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of names) {
    const source = join(from, name);
    if ((await stat(source)).isDirectory()) await linkTree(source, join(to, name), await readdir(source));
    else await link(source, join(to, name));
  }
}
