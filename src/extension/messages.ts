import * as vscode from 'vscode';
import { LoomweightError, toLoomweightError } from '../protocol/errors';

/** Codes that are our own fault: the log has what a report of the problem needs. */
const withLog: readonly string[] = ['internal', 'engine-crashed', 'protocol-mismatch', 'runtime'];

/** Shows errors to the user, in words, once. Cancelled is an outcome and shows nothing. */
export class Messages {
  constructor(private readonly log: vscode.LogOutputChannel) {}

  /** Shows an error; never throws. `during` says what was going on, for the log. */
  showError(error: unknown, during: string): void {
    const known = toLoomweightError(error);
    if (known.code === 'cancelled') return;
    this.log.error(`${during}: [${known.code}] ${known.message}${known.stack ? `\n${known.stack}` : ''}`);
    const actions = withLog.includes(known.code) ? ['Show Log'] : [];
    const text = known.code === 'engine-crashed' ? `${known.message} The next command starts a new engine.` : known.message;
    void vscode.window.showErrorMessage(text, ...actions).then((chosen) => {
      if (chosen === 'Show Log') this.log.show();
    });
  }

  /** Refuses what needs a trusted workspace. True where it may go on. */
  requireTrust(what: string): boolean {
    if (vscode.workspace.isTrusted) return true;
    void vscode.window
      .showWarningMessage(`${what} needs a trusted workspace: it runs models and writes files.`, 'Manage Workspace Trust')
      .then((chosen) => {
        if (chosen !== undefined) void vscode.commands.executeCommand('workbench.trust.manage');
      });
    return false;
  }
}

/** The path of a file on disk. Throws `unsupported` for files of virtual file systems, with what to do. */
export function diskPath(uri: vscode.Uri): string {
  if (uri.scheme === 'file') return uri.fsPath;
  throw new LoomweightError(
    'unsupported',
    `Loomweight reads models from a disk, and this one lies in a virtual file system (${uri.scheme}). Copy it to a local folder first.`,
    { uri: uri.toString() },
  );
}
