import { rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Removes `folder` and the folders above it up to `last`, as long as they are empty: others may have put something there in the meantime. A folder that is
 * missing is passed over. Never fails.
 */
export async function removeEmptyFolders(folder: string, last: string): Promise<void> {
  for (let current = folder; ; current = dirname(current)) {
    const stays = await rmdir(current).then(
      () => false,
      (error: unknown) => (error as { code?: string }).code !== 'ENOENT',
    );
    if (stays || current === last || current === dirname(current)) return;
  }
}
