import * as vscode from 'vscode';
import { messageText, printable } from '../../common/shown';
import type { Choice, ListQuestion, ShownChoice } from './quickInput';
import { shownChoices } from './quickInput';

/** What a question gives for the Back button. */
export const wentBack = Symbol('back');

/** A question that is one of several. */
export interface StepQuestion<T> extends ListQuestion {
  /** With a Back button. */
  readonly back?: boolean;
  /** The value in force: marked, and under the cursor when the list opens. */
  readonly current?: T;
}

/**
 * Lets the user choose one item of a list. An item without a value is shown and cannot be chosen. Undefined if the user cancels, `wentBack` for the
 * Back button.
 */
export async function pickStep<T>(
  choices: readonly Choice<T>[] | Thenable<readonly Choice<T>[]>,
  question: StepQuestion<T>,
): Promise<T | typeof wentBack | undefined> {
  const pick = vscode.window.createQuickPick<ShownChoice<T>>();
  pick.title = printable(question.title);
  pick.placeholder = printable(question.placeholder);
  pick.matchOnDescription = true;
  pick.matchOnDetail = true;
  pick.ignoreFocusOut = true;
  if (question.back) pick.buttons = [vscode.QuickInputButtons.Back];
  pick.busy = true;
  const answer = new Promise<T | typeof wentBack | undefined>((resolve) => {
    pick.onDidTriggerButton(() => resolve(wentBack));
    pick.onDidHide(() => resolve(undefined));
    pick.onDidAccept(() => {
      const value = pick.selectedItems[0]?.value;
      if (value !== undefined) resolve(value);
    });
  });
  pick.show();
  try {
    const given = await choices;
    const marked = given.map((choice) =>
      question.current !== undefined && choice.value === question.current
        ? { ...choice, description: [choice.description, 'current'].filter(Boolean).join(' · ') }
        : choice,
    );
    pick.items = shownChoices(marked);
    const current = pick.items.filter(({ value }) => value !== undefined && value === question.current);
    if (current.length > 0) pick.activeItems = current;
    pick.busy = false;
    return await answer;
  } finally {
    pick.dispose();
  }
}

/** Asks for a line of text, with a Back button; `check` returns a message if it is invalid. Undefined if the user cancels or goes back. */
export async function askLine(options: {
  readonly title: string;
  readonly prompt: string;
  readonly value: string;
  readonly check?: (text: string) => string | undefined;
}): Promise<string | undefined> {
  const box = vscode.window.createInputBox();
  box.title = printable(options.title);
  box.prompt = messageText(options.prompt);
  box.value = options.value;
  box.ignoreFocusOut = true;
  box.buttons = [vscode.QuickInputButtons.Back];
  const check = () => {
    const problem = options.check?.(box.value);
    box.validationMessage = problem === undefined ? undefined : messageText(problem);
    return problem === undefined;
  };
  const answer = new Promise<string | undefined>((resolve) => {
    box.onDidTriggerButton(() => resolve(undefined));
    box.onDidHide(() => resolve(undefined));
    box.onDidChangeValue(check);
    box.onDidAccept(() => {
      if (check()) resolve(box.value);
    });
  });
  box.show();
  try {
    return await answer;
  } finally {
    box.dispose();
  }
}
