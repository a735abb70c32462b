import { existsSync } from 'node:fs';
import * as vscode from 'vscode';
import type { HubEntry } from './settingsHub';
import { askText } from './settingsHub';

/** Where a job writes: proposed, until the user names a folder. */
export interface OutputChoice {
  out: string;
  outChosen: boolean;
}

/** The settings line for the folder that a job writes. */
export function outputEntry(choice: OutputChoice, title: string): HubEntry {
  return {
    label: 'Folder',
    value: vscode.workspace.asRelativePath(choice.out),
    detail: 'A new folder; the model itself is not changed',
    edit: async () => {
      choice.out = await askText({
        title,
        prompt: 'Folder to write. It must not exist yet.',
        value: choice.out,
        check: (path) =>
          path.trim() === ''
            ? 'Enter a folder name.'
            : existsSync(path.trim())
              ? 'This folder already exists. Choose another name.'
              : undefined,
      });
      choice.outChosen = true;
    },
  };
}
