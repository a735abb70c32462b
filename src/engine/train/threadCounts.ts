import type { Checkpoint } from './checkpoint';

/**
 * Numbers of threads with which a training of `steps` steps runs its steps, in turn: those of the checkpoint that it resumes, and that of this run where it differs from the last and steps are left.
 * Checkpoints of earlier versions do not state any: nothing is then known of the steps before.
 */
export function threadCounts(resumed: Pick<Checkpoint, 'step' | 'threads'> | undefined, steps: number, now: number): readonly number[] {
  const before = resumed === undefined || resumed.step === 0 ? [] : (resumed.threads ?? []);
  if (before.length > 0 && (before.at(-1) === now || resumed?.step === steps)) return before;
  return [...before, now];
}

/** What a report says where a training ran with several numbers of threads; nothing where it ran with one. */
export function threadNotes(counts: readonly number[]): readonly string[] {
  if (counts.length < 2) return [];
  return [
    `The training was resumed with another number of threads (${counts.join(', then ')}). On a processor, sums then round differently, so the result may differ in its last bits ` +
      'from that of a training with one number of threads.',
  ];
}
