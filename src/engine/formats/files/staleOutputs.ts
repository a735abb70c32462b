import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { hostname } from 'node:os';

/**
 * Temporary names: `.<name>.loomweight-<host>-<process>-<random>.tmp`. Host and process say who writes, so that only what a
 * dead process of this machine left behind is ever removed; folders may be shared between machines.
 */
export function temporaryName(name: string, random: string): string {
  return `.${name}.loomweight-${hostMark()}-${process.pid}-${random}.tmp`;
}

const pattern = /^\..*\.loomweight-([a-z0-9]+)-(\d+)-[0-9a-f]+\.tmp$/;

/** True for a name made by `temporaryName`. */
export function isTemporaryName(name: string): boolean {
  return pattern.test(name);
}

/** Removes temporary outputs in a folder whose process on this machine is gone. Never fails: clean-up is a courtesy. */
export async function removeStaleOutputs(folder: string): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const match = pattern.exec(name);
    if (!match || match[1] !== hostMark() || isAlive(Number(match[2]))) continue;
    const stale = path.join(folder, name);
    await rm(stale, { recursive: true, force: true }).then(
      () => removed.push(stale),
      () => undefined,
    );
  }
  return removed;
}

function hostMark(): string {
  return (
    hostname()
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '')
      .slice(0, 24) || 'host'
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process exists and belongs to someone else.
    return (error as { code?: string }).code === 'EPERM';
  }
}
