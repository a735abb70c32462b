import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { temporaryWriter } from '../../../protocol/client/temporaryNames';
import { isAlive } from '../../../protocol/client/processState';

/** Removes temporary outputs in a folder whose process no longer exists on this machine. Never fails: cleaning up is best effort. */
export async function removeStaleOutputs(folder: string): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const writer = temporaryWriter(name);
    if (!writer?.isThisMachine || isAlive(writer.pid)) continue;
    const stale = path.join(folder, name);
    await rm(stale, { recursive: true, force: true }).then(
      () => removed.push(stale),
      () => undefined,
    );
  }
  return removed;
}
