import { runCommandLine } from './runCommandLine';
import { drainOutput, endQuietlyOnBrokenPipe } from './terminal';

endQuietlyOnBrokenPipe();
void runCommandLine(process.argv.slice(2)).then(async (code) => {
  await drainOutput();
  // A library's open handle must not hold the terminal.
  process.exit(code);
});
