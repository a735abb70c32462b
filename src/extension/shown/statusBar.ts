import * as vscode from 'vscode';
import { itemText, printable, printableLines, withIcon } from '../../common/shown';

/** An item of the status bar. Texts are text; the icon has its own field. */
export interface StatusEntry {
  readonly icon: string;
  readonly text: string;
  readonly tooltip: string;
  /** Without arguments: the editor forgets those of a command whenever the item is drawn again, and a click in that moment runs nothing. */
  readonly command: string;
}

/** Creates an item at the left end of the status bar. `name`: in the menu that hides items. */
export function createStatusItem(id: string, name: string): vscode.StatusBarItem {
  const item = vscode.window.createStatusBarItem(id, vscode.StatusBarAlignment.Left);
  item.name = name;
  return item;
}

/** Shows an item with new texts. */
export function showStatusItem(item: vscode.StatusBarItem, { icon, text, tooltip, command }: StatusEntry): void {
  item.text = withIcon(icon, itemText(text));
  item.tooltip = printableLines(tooltip);
  item.accessibilityInformation = { label: printable(tooltip) };
  item.command = command;
  item.show();
}
