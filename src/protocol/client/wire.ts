import { NotificationType, RequestType, ResponseError } from 'vscode-jsonrpc/node';
import type { EngineApi, EngineEvents } from '../engine';
import { LoomweightError, exitCodes, fromErrorData, toErrorData } from '../errors';
import type { ErrorData } from '../errors';

/** Names a method of the engine's interface. */
export type EngineMethod = keyof EngineApi;
/** The one object that a method takes. */
export type EngineRequest<Method extends EngineMethod> = Parameters<EngineApi[Method]>[0];
/** What a method gives in the end. */
export type EngineResult<Method extends EngineMethod> = Awaited<ReturnType<EngineApi[Method]>>;

/** Number of the one error code on the wire; the real code travels in its data. */
const wireErrorNumber = 1;

/** The request of a method, for both ends of the channel. */
export function requestType<Method extends EngineMethod>(
  method: Method,
): RequestType<EngineRequest<Method>, EngineResult<Method>, ErrorData> {
  return new RequestType(`engine/${method}`);
}

/** The notification of an event, for both ends of the channel. */
export function eventType<Name extends keyof EngineEvents>(name: Name): NotificationType<EngineEvents[Name]> {
  return new NotificationType(`event/${name}`);
}

/** Any error in the form sent over the channel. */
export function toWireError(error: unknown): ResponseError<ErrorData> {
  const data = toErrorData(error);
  return new ResponseError(wireErrorNumber, data.message, data);
}

/** The error that the other side raised, or undefined if the channel itself failed. */
export function fromWireError(error: unknown): LoomweightError | undefined {
  if (!(error instanceof ResponseError)) return undefined;
  const data = error.data as Partial<ErrorData> | undefined;
  if (data?.code !== undefined && data.code in exitCodes && typeof data.message === 'string') return fromErrorData(data as ErrorData);
  return new LoomweightError('internal', `The engine answered: ${error.message}`);
}
