import { readdir, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { Disposable } from '../../common/disposables';
import { Emitter } from '../../common/events';
import type { FoundModel } from '../../protocol/engine';
import type { ErrorData } from '../../protocol/errors';
import { toErrorData } from '../../protocol/errors';
import type { ModelSummary } from '../../protocol/model';

/** A model of the workspace; the summary arrives after the first reading of its headers. */
export interface CatalogModel extends FoundModel {
  /** Name of the workspace folder, where there are several. */
  readonly folder?: string;
  readonly sample: boolean;
}

/** The catalogue's view of the engine: a small interface, so that tests need no engine. */
export interface CatalogEngine {
  findModels(folder: string): Promise<readonly FoundModel[]>;
  inspect(model: string): Promise<ModelSummary>;
}

/** A folder to look through. */
export interface CatalogFolder {
  readonly path: string;
  readonly name: string;
  readonly sample: boolean;
}

/** Longest wait for the headers of models that are to be offered. */
const patienceMs = 2000;
/** Problems of a file, not of the engine that reads it. */
const aboutTheFile: readonly string[] = ['malformed-file', 'unsupported', 'not-found', 'io'];

/**
 * The models of all workspace folders and their summaries, read at most once for each state of the files on disk.
 * Nothing is searched before the first request.
 */
export class ModelCatalog implements Disposable {
  private readonly changed = new Emitter<void>();
  /** Models came, went or changed: what was read before is stale. */
  readonly onDidChange = this.changed.event;
  private found: Promise<readonly CatalogModel[]> | undefined;
  private readonly summaries = new Map<string, { readonly stamp: string; readonly summary: Promise<ModelSummary> }>();
  private readonly problems = new Map<string, ErrorData>();

  constructor(
    private readonly engine: CatalogEngine,
    private readonly folders: () => readonly CatalogFolder[],
    private readonly onProblem: (error: unknown, during: string) => void,
  ) {}

  /** All models, workspace first, the bundled sample last. A folder that cannot be read is left out and reported. */
  models(): Promise<readonly CatalogModel[]> {
    this.found ??= this.look();
    return this.found;
  }

  /** The headers of a model. Read again when the file, or the folder's entries, changed on disk. */
  async summary(path: string): Promise<ModelSummary> {
    const stamp = await stampOf(path);
    const known = this.summaries.get(path);
    if (known?.stamp === stamp) return known.summary;
    const summary = this.engine.inspect(path);
    this.summaries.set(path, { stamp, summary });
    summary.then(
      () => this.problems.delete(path),
      (error: unknown) => {
        this.problems.set(path, toErrorData(error));
        this.summaries.delete(path);
      },
    );
    return summary;
  }

  /** All models with what is wrong with those that cannot be read. One whose headers take long is taken to be readable. */
  async checked(): Promise<readonly { readonly model: CatalogModel; readonly problem?: ErrorData }[]> {
    const models = await this.models();
    const reads = Promise.allSettled(models.map(({ path }) => this.summary(path)));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([reads, new Promise((resolve) => (timer = setTimeout(resolve, patienceMs)))]);
    clearTimeout(timer);
    return models.map((model) => {
      const problem = this.problem(model.path);
      return problem && aboutTheFile.includes(problem.code) ? { model, problem } : { model };
    });
  }

  /** True if a model that has been listed is this folder, or is inside it. */
  async holds(folder: string): Promise<boolean> {
    const models = (await this.found) ?? [];
    return models.some(({ path }) => path === folder || path.startsWith(folder + sep));
  }

  /** Why a model could not be read the last time, if so. */
  problem(path: string): ErrorData | undefined {
    return this.problems.get(path);
  }

  /** Discards the list and notifies listeners. Summaries are kept while the files are unchanged. */
  refresh(): void {
    this.found = undefined;
    this.changed.fire();
  }

  /** Forgets summaries too, for example after a change of trust. */
  forget(): void {
    this.summaries.clear();
    this.problems.clear();
    this.refresh();
  }

  dispose(): void {
    this.changed.dispose();
  }

  private async look(): Promise<readonly CatalogModel[]> {
    const folders = this.folders();
    const several = folders.filter((folder) => !folder.sample).length > 1;
    const lists = await Promise.all(
      folders.map(async (folder) => {
        try {
          const models = await this.engine.findModels(folder.path);
          return models.map((model): CatalogModel => ({
            ...model,
            sample: folder.sample,
            ...(several && !folder.sample && { folder: folder.name }),
          }));
        } catch (error) {
          this.onProblem(error, `searching for models in ${folder.path}`);
          return [];
        }
      }),
    );
    const seen = new Set<string>();
    return lists.flat().filter((model) => !seen.has(model.path) && seen.add(model.path));
  }
}

/** Changes whenever the model may have changed: for a folder, whenever one of the files in it did. */
async function stampOf(path: string): Promise<string> {
  const own = await stat(path);
  if (!own.isDirectory()) return `${own.mtimeMs}:${own.size}`;
  const names = await readdir(path);
  const files = await Promise.all(names.map((name) => stat(join(path, name)).catch(() => undefined)));
  return [own, ...files].map((file) => (file ? `${file.mtimeMs}:${file.size}` : 'gone')).join(' ');
}
