import type { EngineProcessOptions } from '../../protocol/client/engineProcess';
import { readSettings } from '../settings';
import type { EngineProcesses } from './engineHost';
import type { Log } from '../shown/log';

/** Time that a job has for ending itself; with what the rest takes, its process is gone within 2.5 s of the click on Cancel. */
const cancelGraceMs = 1500;

/**
 * Loads the client of the engine's protocol and connects it to dist/engine.js. Settings are read at every start of a
 * process, so that a change takes effect with the next one. `onCrash` hears why the resident process died by itself.
 */
export async function loadEngineProcesses(enginePath: string, log: Log, onCrash: (reason: string) => void): Promise<EngineProcesses> {
  const { ResidentEngine } = await import('../../protocol/client/residentEngine');
  const { runJobInOwnProcess } = await import('../../protocol/client/runJobInOwnProcess');
  const options = (purpose: string): EngineProcessOptions => {
    const { runtimePath } = readSettings();
    return {
      enginePath,
      onOutput: (line) => log.info(`engine (${purpose}): ${line}`),
      ...(runtimePath !== undefined && { runtimePath }),
    };
  };
  const resident = new ResidentEngine(() => options('resident'));
  resident.onDidCrash(onCrash);
  return {
    call: (method, request, signal) => resident.call(method, request, signal ? { signal } : {}),
    runJob: (spec, { signal, onProgress, onLog }) =>
      runJobInOwnProcess(spec, {
        ...options('job'),
        lowPriority: true,
        cancelGraceMs,
        signal,
        onProgress,
        onStart: (pid) => log.info(`job ${spec.kind} runs in process ${pid}`),
        onLog: (line) => {
          const { level, message } = line;
          onLog?.(line);
          if (level === 'error') log.error(message);
          else if (level === 'warning') log.warn(message);
          else log.info(message);
        },
      }),
    stop: () => {
      resident.reset();
      return resident.stop();
    },
  };
}
