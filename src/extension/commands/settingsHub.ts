import { cancelledError } from '../../protocol/errors';
import { askLine } from '../shown/steps';
import type { Choice } from './pickers';
import { choose, isBack, separator } from './pickers';

/** One setting of a job: how it reads now, and how the user changes it. Cancelling the change keeps the old value. */
export interface HubEntry {
  readonly label: string;
  readonly value: string;
  readonly detail?: string;
  /** Name of an icon before the label, where something needs attention. */
  readonly icon?: string;
  /** One of the few that matter to most people: listed first. */
  readonly main?: boolean;
  readonly edit: () => Promise<void>;
}

/**
 * One list of all settings with their values, where Enter continues and choosing a line changes it: a user in a hurry
 * presses Enter once, a careful one sees every setting. Resolves when the user continues. Throws `cancelled` if the user cancels, for which `isBack` holds if the
 * user went back.
 */
export async function settingsHub(options: {
  readonly title: string;
  readonly next: string;
  readonly entries: () => readonly HubEntry[];
  /** With a Back button: there is a question before. */
  readonly back?: boolean;
}): Promise<void> {
  for (;;) {
    const entries = options.entries();
    const main = entries.filter((entry) => entry.main === true);
    const rest = entries.filter((entry) => entry.main !== true);
    const rows = (some: readonly HubEntry[]) =>
      some.map((entry): Choice<HubEntry | 'next'> => ({
        label: entry.label,
        description: entry.value,
        value: entry,
        ...(entry.icon !== undefined && { icon: entry.icon }),
        ...(entry.detail !== undefined && { detail: entry.detail }),
      }));
    const chosen = await choose<HubEntry | 'next'>(
      [
        { icon: 'arrow-right', label: 'Continue', description: options.next, value: 'next' },
        separator('Settings: select one to change it'),
        ...rows(main.length > 0 ? main : rest),
        ...(main.length > 0 && rest.length > 0 ? [separator<HubEntry | 'next'>('More settings'), ...rows(rest)] : []),
      ],
      {
        title: options.title,
        placeholder: 'Press Enter to continue, or select a setting to change',
        ...(options.back === true && { back: true }),
      },
    );
    if (chosen === 'next') return;
    try {
      await chosen.edit();
    } catch (error) {
      if ((error as { code?: string }).code !== 'cancelled') throw error;
    }
  }
}

/** Asks for a line of text. `check` returns a message if the text is invalid. Throws `cancelled` if the user cancels or goes back. */
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

/** A setting that is a line of text; an empty one means `none`. */
export function textEntry<Key extends string>(
  draft: Record<Key, string>,
  key: Key,
  title: string,
  words: {
    readonly label: string;
    readonly none: string;
    readonly detail: string;
    readonly prompt: string;
    readonly check?: (text: string) => string | undefined;
  },
): HubEntry {
  const { label, none, detail, prompt, check } = words;
  return {
    label,
    value: draft[key] || none,
    detail,
    edit: async () => {
      draft[key] = await askText({ title, prompt, value: draft[key], ...(check && { check }) });
    },
  };
}

/** Repeats a part of a flow whose first question has a Back button, until it ends without going back; `before` asks the question that Back returns to. */
export async function withBack<Answer>(before: () => Promise<Answer>, part: (answer: Answer) => Promise<void>): Promise<void> {
  for (;;) {
    const answer = await before();
    try {
      return await part(answer);
    } catch (error) {
      if (!isBack(error)) throw error;
    }
  }
}
