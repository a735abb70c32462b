import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LoomweightError } from '../../protocol/errors';
import type { LearnSpec } from '../../protocol/jobs';
import { manifestName } from './checkpoint';

/**
 * Refuses a training that would overwrite the checkpoint of an interrupted one: hours of work, perhaps. Errors: `invalid-argument`, with folder and step of the
 * checkpoint in its details, unless the request says what to do with it.
 */
export async function refuseCheckpoint(folder: string, { resume, startOver }: Pick<LearnSpec, 'resume' | 'startOver'>): Promise<void> {
  if (resume || startOver) return;
  const text = await readFile(join(folder, manifestName), 'utf8').catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes((error as { code?: string }).code ?? '')) return undefined;
    throw error;
  });
  if (text === undefined) return;
  const step = stepOf(text);
  throw new LoomweightError(
    'invalid-argument',
    `An interrupted run left a checkpoint${step === undefined ? '' : ` at step ${step}`} in ${folder}. ` +
      'Continue from it (--resume), or delete it and train from the beginning (--start-over).',
    { checkpoint: folder, ...(step === undefined ? {} : { step }) },
  );
}

/** A damaged one counts as a checkpoint too: only its owner deletes it. */
function stepOf(text: string): number | undefined {
  try {
    const { step } = JSON.parse(text) as { readonly step?: unknown };
    return Number.isSafeInteger(step) ? (step as number) : undefined;
  } catch {
    return undefined;
  }
}
