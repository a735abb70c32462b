import { lstat, readlink } from 'node:fs/promises';
import path from 'node:path';
import { LoomweightError } from '../../../protocol/errors';

/**
 * Refuses outputs that are symbolic links, before any work: finishing an output is a rename onto its name, which a link would not survive. Error:
 * `invalid-argument` with the folder that the link leads to.
 */
export async function refuseLinks(outputs: readonly string[]): Promise<void> {
  for (const output of outputs) {
    const status = await lstat(output).catch(() => undefined);
    if (status?.isSymbolicLink() !== true) continue;
    const target = path.resolve(path.dirname(output), await readlink(output));
    throw new LoomweightError(
      'invalid-argument',
      `The output ${output} is a link to ${target}. Name ${target} itself, or another folder.`,
      {
        path: output,
        target,
      },
    );
  }
}
