import type { SharedJobOptions } from '../../protocol/jobs';
import { createRuntime } from '../runtime/runtime';
import type { Runtime } from '../runtime/types';

/** One runtime for each choice of provider and threads, made when first needed. */
export class Runtimes {
  private readonly made = new Map<string, Promise<Runtime>>();

  /** Errors: as `createRuntime`; a failed creation is tried again next time. */
  get({ provider, threads }: SharedJobOptions): Promise<Runtime> {
    const key = `${provider ?? 'auto'}/${threads ?? ''}`;
    const known = this.made.get(key);
    if (known) return known;
    const runtime = createRuntime({ ...(provider ? { provider } : {}), ...(threads === undefined ? {} : { threads }) });
    this.made.set(key, runtime);
    runtime.catch(() => this.made.delete(key));
    return runtime;
  }

  /** Releases what prepared sessions hold between two jobs of this process. A runtime that could not be created holds nothing. */
  async releaseIdle(): Promise<void> {
    for (const made of this.made.values()) {
      const runtime = await made.catch(() => undefined);
      await runtime?.releaseIdle();
    }
  }

  async dispose(): Promise<void> {
    for (const runtime of this.made.values()) await (await runtime).dispose();
    this.made.clear();
  }
}
