import type { EngineEvents } from '../../protocol/engine';

/** What comes with a call besides its request: how to stop it and whom to tell. */
export interface CallContext {
  readonly signal?: AbortSignal;
  readonly emit?: <Name extends keyof EngineEvents>(name: Name, value: EngineEvents[Name]) => void;
}
