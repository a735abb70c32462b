// Starts an engine, tells its process id, and waits to be killed.
import { EngineProcess } from '../../../src/protocol/client/engineProcess';

void EngineProcess.start({ enginePath: process.argv[2] as string }).then((engine) => {
  process.send?.(engine.pid);
  setInterval(() => undefined, 1000);
});
