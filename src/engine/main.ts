import { constants, setPriority } from 'node:os';
import { IPCMessageReader, IPCMessageWriter, createMessageConnection } from 'vscode-jsonrpc/node';
import { Engine } from './engine';
import { serveEngine } from './engineServer';

/** Time for calls to stop and clean up after the channel has closed. */
const farewellMs = 1500;

/** Entry of the engine process: answers over the IPC channel of `child_process.fork` until that closes. */
function main(): void {
  if (process.send === undefined) {
    process.stderr.write('This is the engine of Loomweight; the editor and the command line start it. Run "loomweight --help".\n');
    process.exit(2);
  }
  if (process.argv.includes('--low-priority')) lowerPriority();
  // Ctrl-C in a terminal reaches the whole process group; the parent decides and asks us to stop.
  process.on('SIGINT', () => undefined);
  const engine = new Engine();
  const calls = serveEngine(engine, createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process)));
  process.once('disconnect', () => {
    setTimeout(() => process.exit(0), farewellMs);
    void calls
      .cancelAll()
      .then(() => engine.dispose())
      .finally(() => process.exit(0));
  });
}

function lowerPriority(): void {
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // A system that refuses only leaves the editor less room.
  }
}

main();
