import type { EngineEvents } from '../../protocol/engine';

/** Context of a call besides its request: cancellation and progress. */
export interface CallContext {
  readonly signal?: AbortSignal;
  readonly emit?: <Name extends keyof EngineEvents>(name: Name, value: EngineEvents[Name]) => void;
}
