import * as vscode from 'vscode';
import { messageText, printable, printableLines } from '../../common/shown';
import { Markdown } from './markdown';

/** The texts of a row of a tree. */
export interface RowText {
  readonly description?: string;
  readonly tooltip?: string | Markdown;
  /** What a screen reader says instead of the label. */
  readonly spoken?: string;
}

/** A row of a tree with its label. The caller adds icon, identity and command. */
export function treeRow(label: string, collapsible?: vscode.TreeItemCollapsibleState): vscode.TreeItem {
  return new vscode.TreeItem(printable(label), collapsible);
}

/** Sets texts of a row. */
export function describeRow(row: vscode.TreeItem, { description, tooltip, spoken }: RowText): void {
  if (description !== undefined) row.description = printable(description);
  if (tooltip !== undefined) row.tooltip = tooltip instanceof Markdown ? tooltip.content : printableLines(tooltip);
  if (spoken !== undefined) row.accessibilityInformation = { label: printable(spoken) };
}

/** The message above a tree, or none. */
export function setTreeMessage(view: { message?: string | undefined }, text: string | undefined): void {
  view.message = text === undefined ? undefined : messageText(text);
}

/** Creates a panel with a page; `title`: the text of its tab. */
export function createPanel(id: string, title: string, options: { readonly preserveFocus?: boolean } = {}): vscode.WebviewPanel {
  return vscode.window.createWebviewPanel(
    id,
    printable(title),
    { viewColumn: vscode.ViewColumn.Active, preserveFocus: options.preserveFocus ?? false },
    {},
  );
}

/** Sets the text of a panel's tab. */
export function titlePanel(panel: vscode.WebviewPanel, title: string): void {
  panel.title = printable(title);
}
