import type { OpenOptions } from '../models/openContainer';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TensorContainer } from '../formats/container';
import { openForInspection } from '../outputs/readableOutput';

interface Entry {
  readonly key: string;
  readonly stamp: string;
  readonly container: Promise<TensorContainer>;
  users: number;
  stale: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** Time that an unused container stays open: scrolling and hovering ask again within seconds. */
const idleMs = 10_000;
/** Unused containers that stay open at the same time. */
const mostIdle = 4;

/** How much of the disk a request may see; as in `openContainer`. */
type Limits = Pick<OpenOptions, 'limited' | 'within'>;

/**
 * Opened models, shared by quick requests. A container is used between open and close of a request (`use`), closed after some idle
 * seconds, and reopened when its file has changed on disk.
 */
export class OpenModels {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly open: typeof openForInspection = openForInspection) {}

  /** Lends the container of a model to an action. It stays open for as long as that runs. */
  async use<T>(model: string, options: Limits, action: (container: TensorContainer) => Promise<T>): Promise<T> {
    const entry = await this.entryOf(model, options);
    entry.users += 1;
    clearTimeout(entry.timer);
    try {
      return await action(await entry.container);
    } finally {
      entry.users -= 1;
      this.settle(entry);
    }
  }

  /** Closes everything. */
  async dispose(): Promise<void> {
    await Promise.all([...this.entries.values()].map((entry) => this.drop(entry)));
  }

  private async entryOf(model: string, options: Limits): Promise<Entry> {
    const key = options.limited ? JSON.stringify(['limited', options.within, model]) : `full:${model}`;
    const stamp = await stampOf(model);
    const known = this.entries.get(key);
    if (known?.stamp === stamp) return known;
    if (known) {
      known.stale = true;
      this.settle(known);
    }
    const entry: Entry = { key, stamp, container: this.open(model, options), users: 0, stale: false, timer: undefined };
    this.entries.set(key, entry);
    // A model that cannot be opened must be tried again next time.
    entry.container.catch(() => this.forget(entry));
    return entry;
  }

  private settle(entry: Entry): void {
    if (entry.users > 0) return;
    if (entry.stale) {
      void this.drop(entry);
      return;
    }
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => void this.drop(entry), idleMs);
    entry.timer.unref();
    const idle = [...this.entries.values()].filter(({ users }) => users === 0);
    if (idle.length > mostIdle && idle[0]) void this.drop(idle[0]);
  }

  private async drop(entry: Entry): Promise<void> {
    this.forget(entry);
    clearTimeout(entry.timer);
    await entry.container.then(
      (container) => container.close(),
      () => undefined,
    );
  }

  private forget(entry: Entry): void {
    if (this.entries.get(entry.key) === entry) this.entries.delete(entry.key);
  }
}

/** Changes when the model's file, or for a directory its configuration, index or listing, changes. */
async function stampOf(model: string): Promise<string> {
  const parts: string[] = [];
  for (const path of [
    model,
    ...['config.json', 'model.safetensors', 'model.safetensors.index.json', 'report.json'].map((name) => join(model, name)),
  ]) {
    const status = await stat(path).catch(() => undefined);
    parts.push(status ? `${status.mtimeMs}/${status.size}/${status.ino}` : '-');
    if (status && path === model && !status.isDirectory()) break;
  }
  return parts.join(' ');
}
