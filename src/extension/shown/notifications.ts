import * as vscode from 'vscode';
import { itemText, messageText } from '../../common/shown';

/** A notification about something that failed. Resolves with the chosen button. */
export function showError(text: string, ...buttons: string[]): Thenable<string | undefined> {
  return vscode.window.showErrorMessage(messageText(text), ...buttons);
}

/** A notification about something to take care of. Resolves with the chosen button. */
export function showWarning(text: string, ...buttons: string[]): Thenable<string | undefined> {
  return vscode.window.showWarningMessage(messageText(text), ...buttons);
}

/** A notification about something that is done. Resolves with the chosen button. */
export function showInformation(text: string, ...buttons: string[]): Thenable<string | undefined> {
  return vscode.window.showInformationMessage(messageText(text), ...buttons);
}

/** How a task under a notification reports its progress. */
export interface NotificationProgress {
  report(change: { readonly message: string; readonly increment?: number }): void;
}

/** Runs a task under a notification with its title, progress and Cancel. */
export function withNotification<Result>(
  title: string,
  task: (progress: NotificationProgress, token: vscode.CancellationToken) => Promise<Result>,
): Thenable<Result> {
  return vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: messageText(title), cancellable: true },
    (progress, token) => task({ report: ({ message, ...rest }) => progress.report({ ...rest, message: messageText(message) }) }, token),
  );
}

/** Runs a short task while the status bar says what is going on. */
export function withStatus<Result>(title: string, task: () => Promise<Result>): Thenable<Result> {
  return vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: itemText(title) }, task);
}

/** A word in the status bar that goes away by itself. */
export function showStatus(text: string, milliseconds: number): void {
  vscode.window.setStatusBarMessage(itemText(text), milliseconds);
}
