import { cancelledError } from '../../protocol/errors';
import { askLine } from '../shown/quickInput';
import type { Choice } from './pickers';
import { choose, separator } from './pickers';

/** One setting of a job: how it reads now, and how the user changes it. Cancelling the change keeps the old value. */
export interface HubEntry {
  readonly label: string;
  readonly value: string;
  readonly detail?: string;
  readonly edit: () => Promise<void>;
}

/**
 * One list of all settings with their values, where Enter continues and choosing a line changes it: a user in a hurry
 * presses Enter once, a careful one sees every setting. Resolves when the user continues.
 */
export async function settingsHub(options: {
  readonly title: string;
  readonly next: string;
  readonly entries: () => readonly HubEntry[];
}): Promise<void> {
  for (;;) {
    const entries = options.entries();
    const items: Choice<number>[] = [
      { icon: 'arrow-right', label: 'Continue', description: options.next, value: -1 },
      separator('Settings: select one to change it'),
      ...entries.map(({ label, value, detail }, index) => ({
        label,
        description: value,
        value: index,
        ...(detail !== undefined && { detail }),
      })),
    ];
    const chosen = await choose(items, { title: options.title, placeholder: 'Press Enter to continue, or select a setting to change' });
    if (chosen === -1) return;
    try {
      await entries[chosen]?.edit();
    } catch (error) {
      if ((error as { code?: string }).code !== 'cancelled') throw error;
    }
  }
}

/** Asks for a line of text. `check` returns a message if the text is invalid. Throws `cancelled` if the user cancels. */
export async function askText(options: {
  readonly title: string;
  readonly prompt: string;
  readonly value: string;
  readonly check?: (text: string) => string | undefined;
}): Promise<string> {
  const text = await askLine(options);
  if (text === undefined) throw cancelledError();
  return text.trim();
}
