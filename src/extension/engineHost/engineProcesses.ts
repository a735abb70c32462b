import type { EngineProcessOptions } from '../../protocol/client/engineProcess';
import { readSettings } from '../settings';
import type { EngineProcesses } from './engineHost';
import type { Log } from '../shown/log';

/**
 * Loads the client of the engine's protocol and connects it to dist/engine.js. Settings are read at every start of a
 * process, so that a change takes effect with the next one. `onCrash` hears why the resident process died by itself.
 */
export async function loadEngineProcesses(enginePath: string, log: Log, onCrash: (reason: string) => void): Promise<EngineProcesses> {
  const { ResidentEngine } = await import('../../protocol/client/residentEngine');
  const options = (): EngineProcessOptions => {
    const { runtimePath } = readSettings();
    return {
      enginePath,
      onOutput: (line) => log.info(`engine (resident): ${line}`),
      ...(runtimePath !== undefined && { runtimePath }),
    };
  };
  const resident = new ResidentEngine(options);
  resident.onDidCrash(onCrash);
  return {
    call: (method, request, signal) => resident.call(method, request, signal ? { signal } : {}),
    stop: () => {
      resident.reset();
      return resident.stop();
    },
  };
}
