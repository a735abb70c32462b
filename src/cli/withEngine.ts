import type { Engine } from '../engine/engine';
import { exitCodes } from '../protocol/errors';
import { withStopSignals } from './stopSignals';

/**
 * Lends an engine in this process to quick work, and closes it. It is loaded only here: help, jobs and errors of arguments start
 * without it. Ctrl-C cancels; a second one ends the process.
 */
export function withEngine<T>(action: (engine: Engine, signal: AbortSignal) => Promise<T>): Promise<T> {
  return withStopSignals(
    async (signal) => {
      const module = await import('../engine/engine');
      const engine = new module.Engine();
      try {
        return await action(engine, signal);
      } finally {
        await engine.dispose();
      }
    },
    { onAgain: () => process.exit(exitCodes.cancelled) },
  );
}
