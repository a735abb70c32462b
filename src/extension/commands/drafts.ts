import { existsSync } from 'node:fs';
import type { OutputChoice } from './outputEntry';

/** What was set the last time under a key, or a new draft, which is kept from now on. */
export function keptDraft<Draft extends OutputChoice>(drafts: Map<string, unknown>, key: string, make: () => Draft): Draft {
  const draft = (drafts.get(key) as Draft | undefined) ?? make();
  // A folder that has been written since is not free any more.
  if (existsSync(draft.out)) draft.outChosen = false;
  drafts.set(key, draft);
  return draft;
}
