// Runs one job in its own process under whatever limits the shell has set, and prints the error's data as JSON.
import { runJobInOwnProcess } from '../../../src/protocol/client/runJobInOwnProcess';
import { toErrorData } from '../../../src/protocol/errors';
import type { CompressSpec } from '../../../src/protocol/jobs';

const [enginePath, runtimePath, spec] = process.argv.slice(2) as [string, string, string];
void runJobInOwnProcess(JSON.parse(spec) as CompressSpec, { enginePath, runtimePath }).then(
  () => process.stdout.write('RESULT null\n'),
  (error: unknown) => process.stdout.write(`RESULT ${JSON.stringify(toErrorData(error))}\n`),
);
