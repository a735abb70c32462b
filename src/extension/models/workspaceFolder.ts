import * as vscode from 'vscode';

/** The first folder of the workspace that is on a disk, where results and recipes go; undefined without one. */
export function workspaceFolder(): string | undefined {
  return vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === 'file')?.uri.fsPath;
}
