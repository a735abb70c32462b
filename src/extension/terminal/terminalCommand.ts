import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type * as vscode from 'vscode';
import { showInformation } from '../shown/notifications';
import { prependPath, runInTerminal } from '../shown/terminals';
import { commandShims } from './commandShims';

/** Whether terminals have the command; kept for all windows. */
const enabledKey = 'loomweight.terminalCommand';

/** Puts `loomweight` on the PATH of the editor's terminals, and removes it again. */
export class TerminalCommand {
  constructor(
    private readonly context: Pick<
      vscode.ExtensionContext,
      'environmentVariableCollection' | 'extensionPath' | 'globalState' | 'globalStorageUri'
    >,
  ) {}

  /** Writes the scripts again where terminals have the command: an update of the editor or the extension moves both programs. */
  async refresh(): Promise<void> {
    if (this.enabled) await this.put();
  }

  /** *Add Command Line to Terminals*: adds the command, or removes it where it is there. */
  async toggle(): Promise<void> {
    const enable = !this.enabled;
    if (enable) await this.put();
    else this.context.environmentVariableCollection.clear();
    await this.context.globalState.update(enabledKey, enable);
    if (!enable) {
      void showInformation('New terminals no longer have the command loomweight.');
      return;
    }
    const chosen = await showInformation(
      'New terminals have the command loomweight. Run this command again to remove it.',
      'Open Terminal',
    );
    if (chosen !== undefined) runInTerminal('loomweight --help');
  }

  private get enabled(): boolean {
    return this.context.globalState.get(enabledKey, false);
  }

  private async put(): Promise<void> {
    const { environmentVariableCollection: collection, extensionPath, globalStorageUri } = this.context;
    const folder = join(globalStorageUri.fsPath, 'bin');
    await mkdir(folder, { recursive: true });
    for (const { name, text } of commandShims(process.execPath, join(extensionPath, 'dist', 'cli.js'), process.platform))
      await writeFile(join(folder, name), text, { mode: 0o755 });
    prependPath(collection, `${folder}${delimiter}`, 'Adds the command loomweight');
  }
}
