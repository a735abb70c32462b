import * as vscode from 'vscode';
import { itemText, printable, withIcon } from '../../common/shown';

/** An item of a list with its value. Label, description and detail are text; an icon has its own field. */
export interface Choice<T> {
  readonly label: string;
  /** Name of an icon before the label. */
  readonly icon?: string;
  readonly description?: string;
  readonly detail?: string;
  readonly kind?: vscode.QuickPickItemKind;
  readonly value?: T;
}

/** How VS Code draws an item; its value comes back with it. */
export type ShownChoice<T> = vscode.QuickPickItem & { readonly value?: T };

/** Items as VS Code's lists take them, with every text escaped. */
export function shownChoices<T>(choices: readonly Choice<T>[]): ShownChoice<T>[] {
  return choices.map(({ label, icon, description, detail, ...rest }) => ({
    ...rest,
    label: icon === undefined ? itemText(label) : withIcon(icon, itemText(label)),
    ...(description !== undefined && { description: itemText(description) }),
    ...(detail !== undefined && { detail: itemText(detail) }),
  }));
}

/** Title and placeholder of a list. */
export interface ListQuestion {
  readonly title: string;
  readonly placeholder: string;
}

/** Lets the user choose several items of a list. Undefined if the user cancels. */
export function pickMany<T>(choices: readonly Choice<T>[], question: ListQuestion): Thenable<readonly ShownChoice<T>[] | undefined> {
  return vscode.window.showQuickPick(shownChoices(choices), { ...shownQuestion(question), canPickMany: true });
}

function shownQuestion({ title, placeholder }: ListQuestion) {
  return { title: printable(title), placeHolder: printable(placeholder), ignoreFocusOut: true };
}
