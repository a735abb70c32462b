import { existsSync } from 'node:fs';
import * as vscode from 'vscode';
import type { HubEntry } from './settingsHub';
import { askText } from './settingsHub';

/** Where a job writes: proposed, until the user names a folder. */
export interface OutputChoice {
  out: string;
  outChosen: boolean;
}

/** The settings line for the folder that a job writes, or with `file` for the file with that ending. */
export function outputEntry(choice: OutputChoice, title: string, file?: string): HubEntry {
  const kind = file === undefined ? 'folder' : 'file';
  return {
    label: file === undefined ? 'Folder' : 'File',
    value: vscode.workspace.asRelativePath(choice.out),
    detail: `A new ${kind}; the model itself is not changed`,
    edit: async () => {
      choice.out = await askText({
        title,
        prompt: `${file === undefined ? 'Folder' : 'File'} to write. It must not exist yet.`,
        value: choice.out,
        check: (path) => outputProblem(path.trim(), kind, file),
      });
      choice.outChosen = true;
    },
  };
}

function outputProblem(path: string, kind: string, ending = ''): string | undefined {
  if (path === '') return `Enter a ${kind} name.`;
  if (existsSync(path)) return `This ${kind} already exists. Choose another name.`;
  return path.endsWith(ending) ? undefined : `The name must end in ${ending}.`;
}
