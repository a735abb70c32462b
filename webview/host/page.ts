import type { ErrorData } from '../../src/protocol/errors';
import { fromErrorData } from '../../src/protocol/errors';
import type { HostToPage, PageToHost, RequestResult, RequestValue } from '../../src/protocol/panels/page';
import { watchViolations } from './violations';

/** Provided to every page by the editor; may be called only once. */
declare function acquireVsCodeApi(): {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
};

/** The page's side of the channel to the extension host. */
export interface Page<Requests, Events, State> {
  /** Sends a request to the host; rejects with its LoomweightError. */
  request<Method extends keyof Requests & string>(
    method: Method,
    value?: RequestValue<Requests, Method>,
  ): Promise<RequestResult<Requests, Method>>;
  /** Listens for an event; each carries a complete snapshot. */
  on<Name extends keyof Events & string>(name: Name, listener: (value: Events[Name]) => void): void;
  /** The state that the page saved before it was hidden or reloaded; undefined the first time or after an update. */
  loadState(): State | undefined;
  saveState(state: State): void;
}

/**
 * Connects a page to its host. `stateVersion` guards the saved state: a page of another version starts without it.
 * Call once per page.
 */
export function connectPage<Requests, Events, State>(stateVersion: number): Page<Requests, Events, State> {
  const host = acquireVsCodeApi();
  const send = (message: PageToHost) => host.postMessage(message);
  watchViolations((detail) => send({ type: 'violation', detail }));
  const pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const listeners = new Map<string, ((value: unknown) => void)[]>();
  let lastId = 0;

  window.addEventListener('message', (event: MessageEvent<HostToPage>) => {
    const message = event.data;
    switch (message.type) {
      case 'response':
        pending.get(message.id)?.resolve(message.value);
        pending.delete(message.id);
        return;
      case 'failure':
        pending.get(message.id)?.reject(fromErrorData(message.error satisfies ErrorData));
        pending.delete(message.id);
        return;
      case 'event':
        for (const listener of listeners.get(message.name) ?? []) listener(message.value);
    }
  });

  return {
    request: <Method extends keyof Requests & string>(method: Method, value?: RequestValue<Requests, Method>) =>
      new Promise<RequestResult<Requests, Method>>((resolve, reject) => {
        const id = (lastId += 1);
        pending.set(id, { resolve: (result) => resolve(result as RequestResult<Requests, Method>), reject });
        send({ type: 'request', id, method, value });
      }),
    on(name, listener) {
      listeners.set(name, [...(listeners.get(name) ?? []), listener as (value: unknown) => void]);
    },
    loadState() {
      const kept = host.getState() as { version?: number; state?: State } | undefined;
      return kept?.version === stateVersion ? kept.state : undefined;
    },
    saveState: (state) => host.setState({ version: stateVersion, state }),
  };
}

/** Marks that a snapshot has been drawn, for tests and measurements. */
export function markRendered(): void {
  const root = document.documentElement;
  root.dataset['rendered'] = String(Number(root.dataset['rendered'] ?? '0') + 1);
}
