import type { Engine } from '../engine/engine';
import { exitCodes } from '../protocol/errors';
import { withStopSignals } from './stopSignals';

/** How long cancelled work may take to end by itself. */
const patienceMs = 2000;

/**
 * Lends an engine in this process to quick work, and closes it. It is loaded only here: help, jobs and errors of arguments start
 * without it. Ctrl-C cancels; a second one, or two seconds, end the process.
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
    {
      // A read that never returns (a dead network drive) cannot be cancelled: the process ends all the same.
      onFirst: () => void setTimeout(() => process.exit(exitCodes.cancelled), patienceMs).unref(),
      onAgain: () => process.exit(exitCodes.cancelled),
    },
  );
}
