import * as vscode from 'vscode';
import { logText } from '../../common/shown';

/** The output channel of the extension. */
export interface Log extends vscode.Disposable {
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
  /** Brings the channel to the front. */
  show(): void;
}

/** Creates the output channel: what a file or a native library says stays within its entry. */
export function createLog(name: string): Log {
  const channel = vscode.window.createOutputChannel(name, { log: true });
  return {
    info: (text) => channel.info(logText(text)),
    warn: (text) => channel.warn(logText(text)),
    error: (text) => channel.error(logText(text)),
    show: () => channel.show(),
    dispose: () => channel.dispose(),
  };
}
