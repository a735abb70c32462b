import * as vscode from 'vscode';
import { printable } from '../../common/shown';

/** Opens a terminal and runs a command of our own in it. */
export function runInTerminal(command: 'loomweight --help'): void {
  const terminal = vscode.window.createTerminal();
  terminal.show();
  terminal.sendText(command);
}

/** Puts a folder at the front of the PATH of new terminals; `description` tells the user why. */
export function prependPath(collection: vscode.EnvironmentVariableCollection, value: string, description: string): void {
  collection.description = printable(description);
  collection.prepend('PATH', value);
}
