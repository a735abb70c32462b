import * as vscode from 'vscode';
import { DisposableStore } from '../../common/disposables';

/** Quiet time before the trees look again: a download or an export touches its files many times. */
const quietMilliseconds = 600;

/** Calls back, debounced, when model files of the workspace come, go or change, or when its folders do. */
export function watchModels(onChange: () => void): vscode.Disposable {
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
  store.add(vscode.workspace.onDidChangeWorkspaceFolders(schedule));
  store.add({ dispose: () => timer !== undefined && clearTimeout(timer) });
  return store;
}
