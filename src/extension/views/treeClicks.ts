import * as vscode from 'vscode';

/** A tree that is refreshed whole knows no rows until it has listed them again: how often, and how long apart, the selection is asked for. */
const attempts = 40;
const pauseMilliseconds = 50;

/**
 * Registers the command that the rows of a tree run when they are clicked; it opens the selected row.
 *
 * Rows carry no arguments: the editor keeps those only until the row is refreshed, and runs nothing for a click that arrives from the row as it was drawn before.
 * The selection is reported ahead of the command and outlives a refresh.
 */
export function registerTreeClick<Row>(
  command: string,
  view: vscode.TreeView<Row>,
  open: (row: Row) => Thenable<unknown>,
): vscode.Disposable {
  return vscode.commands.registerCommand(command, async () => {
    for (let attempt = 0; view.selection.length === 0 && attempt < attempts; attempt += 1) {
      await new Promise((resolve) => setTimeout(resolve, pauseMilliseconds));
    }
    const [row] = view.selection;
    if (row !== undefined) await open(row);
  });
}
