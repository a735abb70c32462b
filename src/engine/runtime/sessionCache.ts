import type { Graph } from '../graph/graph';
import type { Session } from './types';

interface Entry {
  readonly graph: Graph;
  readonly options: string;
  readonly bytes: number;
  readonly session: Promise<Session>;
  users: number;
}

/** Limits on idle sessions. */
export interface SessionCacheLimits {
  readonly sessions: number;
  /** Bytes of inline constants over all idle sessions. */
  readonly bytes: number;
}

/**
 * Sessions by identity of their Graph object and options. Each user releases once; an idle session is kept while the limits allow, and the
 * least recently used one is released first. Concurrent requests share the creation; a failed one is forgotten.
 */
export class SessionCache {
  /** Least recently used first. */
  private entries: Entry[] = [];

  constructor(private readonly limits: SessionCacheLimits = { sessions: 8, bytes: 256 * 2 ** 20 }) {}

  async get(graph: Graph, options: string, create: () => Promise<Session>): Promise<Session> {
    let entry = this.entries.find((candidate) => candidate.graph === graph && candidate.options === options);
    if (entry) {
      this.entries = [...this.entries.filter((other) => other !== entry), entry];
    } else {
      entry = { graph, options, bytes: constantBytes(graph), session: create(), users: 0 };
      this.entries.push(entry);
    }
    const used = entry;
    used.users += 1;
    try {
      return this.handle(used, await used.session);
    } catch (error) {
      this.entries = this.entries.filter((other) => other !== used);
      throw error;
    }
  }

  /** Releases every idle session. */
  releaseIdle(): Promise<void> {
    return this.trim({ sessions: 0, bytes: 0 });
  }

  /** Releases everything, including sessions in use. */
  async dispose(): Promise<void> {
    for (const { session } of this.entries.splice(0)) await (await session).release();
  }

  private handle(entry: Entry, session: Session): Session {
    let released = false;
    return {
      inputNames: session.inputNames,
      outputNames: session.outputNames,
      run: (feeds, outputs, into) => session.run(feeds, outputs, into),
      release: async () => {
        if (released) return;
        released = true;
        entry.users -= 1;
        await this.trim();
      },
    };
  }

  private async trim(limits: SessionCacheLimits = this.limits): Promise<void> {
    const idle = () => this.entries.filter(({ users }) => users === 0);
    const bytes = () => idle().reduce((sum, entry) => sum + entry.bytes, 0);
    while (idle().length > limits.sessions || bytes() > limits.bytes) {
      const oldest = idle()[0];
      if (!oldest) return;
      this.entries = this.entries.filter((entry) => entry !== oldest);
      await (await oldest.session).release();
    }
  }
}

function constantBytes(graph: Graph): number {
  let bytes = 0;
  for (const data of graph.constants.values()) bytes += data.kind === 'inline' ? data.bytes.byteLength : data.length;
  return bytes;
}
