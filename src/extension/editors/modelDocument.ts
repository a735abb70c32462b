import { access } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import { DisposableStore } from '../../common/disposables';
import { toErrorData } from '../../protocol/errors';
import type { ErrorData } from '../../protocol/errors';
import type { ModelSummary } from '../../protocol/model';
import type { ModelPageView } from '../../protocol/panels/modelPage';
import { firstTensors } from '../../protocol/panels/modelPage';
import { modelName } from '../../common/modelName';
import { editorFor } from '../models/modelFiles';
import { dtypesOf } from '../models/tensorGroups';

/** What a document is read with. */
export interface DocumentReader {
  inspect(path: string): Promise<ModelSummary>;
  /** Why values may not be read, or undefined if they may. */
  valuesRefused(): string | undefined;
}

/** Quiet time before a changed file is read again: writers touch a file many times. */
const quietMilliseconds = 400;

/**
 * One opened model, shared by all its editors. Follows the file: read again when it changes, marked when it is deleted.
 * A file that cannot be read is also a document, which shows the reason.
 */
export class ModelDocument implements vscode.CustomDocument {
  private readonly store = new DisposableStore();
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private summary: ModelSummary | undefined;
  private error: ErrorData | undefined;
  private deleted = false;
  private version = 0;
  private notice: string | undefined;
  private loading: Promise<void> | undefined;

  constructor(
    readonly uri: vscode.Uri,
    private readonly reader: DocumentReader,
    /** Names the model to its pages. */
    private readonly key: string,
    onDispose: (document: ModelDocument) => void,
  ) {
    this.store.add(this.changed);
    this.store.add({ dispose: () => onDispose(this) });
    if (uri.scheme === 'file') this.watch();
  }

  /** Path on disk. */
  get path(): string {
    return this.uri.fsPath;
  }

  /** The tensors of the state in force. */
  get tensors(): ModelSummary['tensors'] {
    return this.summary?.tensors ?? [];
  }

  /** The view of the state in force, after the first reading. */
  async view(): Promise<ModelPageView> {
    await (this.loading ??= this.read());
    return this.describe();
  }

  /** Reads the file again, for example after a change of trust. */
  async reload(): Promise<void> {
    this.loading = this.read();
    await this.loading;
    this.changed.fire();
  }

  dispose(): void {
    this.store.dispose();
  }

  private async read(): Promise<void> {
    this.version += 1;
    if (this.uri.scheme !== 'file') {
      this.error = {
        code: 'unsupported',
        message: `This file is in a virtual file system (${this.uri.scheme}); Loomweight reads models from local disks only.`,
      };
      return;
    }
    try {
      this.summary = await this.reader.inspect(this.path);
      this.error = undefined;
      this.deleted = false;
    } catch (error) {
      this.error = toErrorData(error);
    }
  }

  private describe(): ModelPageView {
    const { summary, error } = this;
    const refused = this.reader.valuesRefused();
    const state = this.deleted ? 'deleted' : error ? 'failed' : 'ready';
    const notice = this.deleted ? 'This file has been deleted. This page shows its last known contents.' : (error?.message ?? this.notice);
    // After a failed read, the old rows would no longer describe the file.
    const shown = error && !this.deleted ? undefined : summary;
    return {
      key: this.key,
      name: modelName(this.uri.path),
      path: this.uri.scheme === 'file' ? this.path : this.uri.toString(),
      state,
      ...(notice !== undefined && { notice }),
      ...(error && !this.deleted && { advice: adviceFor(error) }),
      version: this.version,
      ...(shown && { format: shown.format }),
      architecture: shown?.architecture ?? 'unknown',
      parameters: shown?.parameters ?? 0,
      bytes: shown?.bytes ?? 0,
      dtypes: shown ? dtypesOf(shown) : [],
      ...(shown?.compressed && { compressed: shown.compressed }),
      metadata: shown?.metadata ?? {},
      ...(shown?.graph && { graph: shown.graph }),
      diagnostics: shown?.diagnostics ?? (error ? [diagnosticOf(error, this.path)] : []),
      tensorCount: shown?.tensors.length ?? 0,
      tensors: shown?.tensors.slice(0, firstTensors) ?? [],
      ...(refused !== undefined && { valuesRefused: refused }),
    };
  }

  private watch(): void {
    const pattern =
      editorFor(this.path) === undefined
        ? new vscode.RelativePattern(vscode.Uri.file(this.path), '{*,*/*}.{safetensors,onnx,json}')
        : new vscode.RelativePattern(vscode.Uri.file(dirname(this.path)), basename(this.path));
    const watcher = this.store.add(vscode.workspace.createFileSystemWatcher(pattern));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const later = () => {
      if (timer !== undefined) clearTimeout(timer);
      timer = setTimeout(() => void this.followFile(), quietMilliseconds);
    };
    this.store.add(watcher.onDidChange(later));
    this.store.add(watcher.onDidCreate(later));
    this.store.add(watcher.onDidDelete(later));
    this.store.add({ dispose: () => timer !== undefined && clearTimeout(timer) });
  }

  private async followFile(): Promise<void> {
    const there = await access(this.path).then(
      () => true,
      () => false,
    );
    if (!there) {
      this.deleted = true;
      this.changed.fire();
      return;
    }
    this.notice = 'The file changed on disk and was reloaded.';
    this.deleted = false;
    await this.reload();
  }
}

function diagnosticOf(error: ErrorData, file: string): ModelPageView['diagnostics'][number] {
  const offset = error.details?.['offset'];
  return { severity: 'error', code: error.code, message: error.message, file, ...(typeof offset === 'number' && { offset }) };
}

function adviceFor(error: ErrorData): string {
  switch (error.code) {
    case 'malformed-file':
      return 'Nothing was changed on disk. If the file was downloaded, download it again.';
    case 'unsupported':
      return 'Copy the file to a local folder, or see the README for the supported formats.';
    case 'engine-crashed':
      return 'Open the file again. See the log for details.';
    default:
      return 'Nothing was changed on disk.';
  }
}
