import * as vscode from 'vscode';
import { DisposableStore } from '../../common/disposables';

/** Quiet time before the trees look again: a download or an export touches its files many times. */
const quietMilliseconds = 600;

/**
 * Calls back, debounced, when model files of the workspace come, go or change, or when its folders do. A folder deleted as a whole is reported by its own name alone:
 * `holdsModels` tells whether a model was in it.
 */
export function watchModels(onChange: () => void, holdsModels: (folder: string) => Promise<boolean>): vscode.Disposable {
  const store = new DisposableStore();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const schedule = () => {
    if (timer !== undefined) clearTimeout(timer);
    timer = setTimeout(onChange, quietMilliseconds);
  };
  const watcher = store.add(vscode.workspace.createFileSystemWatcher('**/*.{safetensors,gguf,onnx}'));
  store.add(watcher.onDidCreate(schedule));
  store.add(watcher.onDidChange(schedule));
  store.add(watcher.onDidDelete(schedule));
  const folders = store.add(vscode.workspace.createFileSystemWatcher('**', true, true));
  store.add(folders.onDidDelete(async ({ fsPath }) => (await holdsModels(fsPath)) && schedule()));
  store.add(vscode.workspace.onDidChangeWorkspaceFolders(schedule));
  store.add({ dispose: () => timer !== undefined && clearTimeout(timer) });
  return store;
}
