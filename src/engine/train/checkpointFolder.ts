import { resolve } from 'node:path';
import { checkpointEnding } from '../../protocol/learnDefaults';

/** Folder of a training's checkpoint: beside its output. `out`: as the job states it. */
export function checkpointFolderOf({ out }: { readonly out: string }): string {
  return `${resolve(out)}${checkpointEnding}`;
}
