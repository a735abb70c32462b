import type { ErrorData } from '../errors';

/** What a page sends to the extension host. */
export type PageToHost =
  | { readonly type: 'request'; readonly id: number; readonly method: string; readonly value: unknown }
  | { readonly type: 'violation'; readonly detail: string };

/** What the extension host sends to a page. Events are whole snapshots; the latest wins. */
export type HostToPage =
  | { readonly type: 'response'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly error: ErrorData }
  | { readonly type: 'event'; readonly name: string; readonly value: unknown };

/** The requests of a page: each takes at most one plain object and gives a promise. */
export type PageService<Requests> = { readonly [Method in keyof Requests]: Requests[Method] };

/** What one request of a page takes. */
export type RequestValue<Requests, Method extends keyof Requests> = Requests[Method] extends (value: infer Value) => Promise<unknown>
  ? Value
  : never;

/** What one request of a page gives. */
export type RequestResult<Requests, Method extends keyof Requests> = Requests[Method] extends (...values: never[]) => Promise<infer Result>
  ? Result
  : never;

/** A message of a page, or undefined for anything else: a page is not trusted. */
export function pageMessage(message: unknown): PageToHost | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const { type, id, method, value, detail } = message as Readonly<Record<string, unknown>>;
  if (type === 'violation' && typeof detail === 'string') return { type, detail };
  if (type === 'request' && Number.isInteger(id) && typeof method === 'string') return { type, id: id as number, method, value };
  return undefined;
}
