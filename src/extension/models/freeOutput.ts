import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import * as vscode from 'vscode';
import { proposeOutput } from './modelFiles';
import { workspaceFolder } from './workspaceFolder';

/** A folder for a result that is not there yet, beside the model; results of the bundled sample go into the workspace. */
export function freeOutput(model: string, suffix: string, ending = ''): string {
  const inWorkspace = vscode.workspace.getWorkspaceFolder(vscode.Uri.file(model)) !== undefined;
  const proposal = proposeOutput(model, suffix, inWorkspace ? undefined : (workspaceFolder() ?? dirname(model)));
  for (let count = 1; ; count += 1) {
    const path = `${count === 1 ? proposal : `${proposal}-${count}`}${ending}`;
    if (!existsSync(path)) return path;
  }
}
