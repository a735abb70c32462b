import * as vscode from 'vscode';
import { LoomweightError, toLoomweightError } from '../protocol/errors';
import type { Log } from './shown/log';
import { showError, showWarning } from './shown/notifications';

/** Codes that are our own fault: the log has what a report of the problem needs. */
const withLog: readonly string[] = ['internal', 'protocol-mismatch', 'runtime'];
/** One crash fails every pending call: they are one message to the user. */
const crashQuietMilliseconds = 3000;

/** Shows errors to the user, in words, once. Cancelled is an outcome and shows nothing. */
export class Messages {
  private lastCrash = 0;

  constructor(private readonly log: Log) {}

  /** Shows an error; never throws. `during` describes the action, for the log. */
  showError(error: unknown, during: string): void {
    const known = toLoomweightError(error);
    if (known.code === 'cancelled') return;
    if (known.code === 'engine-crashed') {
      this.showCrash(known.message);
      return;
    }
    // A stack is useful only if the bug is ours.
    const ours = withLog.includes(known.code);
    this.log.error(`${during}: [${known.code}] ${known.message}${ours && known.stack ? `\n${known.stack}` : ''}`);
    const actions = ours ? ['Show Log'] : [];
    void showError(known.message, ...actions).then((chosen) => {
      if (chosen === 'Show Log') this.log.show();
    });
  }

  /** Reports once that an engine process died, however many calls failed with it. */
  showCrash(reason: string): void {
    this.log.error(reason);
    if (Date.now() - this.lastCrash < crashQuietMilliseconds) return;
    this.lastCrash = Date.now();
    const text = `${reason} The next command starts a new engine.`;
    void showError(text, 'Show Log').then((chosen) => {
      if (chosen !== undefined) this.log.show();
    });
  }

  /** Refuses what needs a trusted workspace. True if it may continue. */
  requireTrust(what: string): boolean {
    if (vscode.workspace.isTrusted) return true;
    void showWarning(`${what} needs a trusted workspace: it runs models and writes files.`, 'Manage Workspace Trust').then((chosen) => {
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
    `Loomweight reads models from local disks only, and this one is in a virtual file system (${uri.scheme}). Copy it to a local folder first.`,
    { uri: uri.toString() },
  );
}
