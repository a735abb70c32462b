import { tmpdir } from 'node:os';
import { diskOf } from './freeSpace';

/** What one step writes. */
export interface DiskNeed {
  /** Absolute paths of its outputs; empty for a step that writes temporary files only, which are removed before the next step. */
  readonly outputs: readonly string[];
  readonly bytes: number;
}

/** What a job needs of one disk. */
export interface DiskShare {
  /** Outputs on this disk, or the folder for temporary files. */
  readonly folders: readonly string[];
  readonly bytes: number;
  readonly availableBytes: number;
}

/**
 * Divides needs among disks: outputs on the same disk are added, temporary files count once, with the largest. How a step with several outputs divides its bytes
 * is not known, so each disk must hold them all. Paths whose disk the system does not tell are left out.
 */
export async function shareDisks(needs: readonly DiskNeed[], disk: typeof diskOf = diskOf): Promise<readonly DiskShare[]> {
  const shares = new Map<number, { readonly folders: string[]; kept: number; temporary: number; readonly availableBytes: number }>();
  for (const { outputs, bytes } of needs) {
    const temporary = outputs.length === 0;
    if (temporary && bytes === 0) continue;
    const counted = new Set<number>();
    for (const folder of temporary ? [tmpdir()] : outputs) {
      const found = await disk(folder);
      if (!found) continue;
      const share = shares.get(found.device) ?? { folders: [], kept: 0, temporary: 0, availableBytes: found.freeBytes };
      shares.set(found.device, share);
      if (!share.folders.includes(folder)) share.folders.push(folder);
      if (counted.has(found.device)) continue;
      counted.add(found.device);
      if (temporary) share.temporary = Math.max(share.temporary, bytes);
      else share.kept += bytes;
    }
  }
  return [...shares.values()].map(({ folders, kept, temporary, availableBytes }) => ({ folders, bytes: kept + temporary, availableBytes }));
}
