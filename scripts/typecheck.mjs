// Type-checks every project in turn: each folder sees only the globals that it may use.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const projects = ['src/common', 'src/protocol', 'src/protocol/client', 'src/engine', 'src/cli', 'src/extension', 'webview', 'test'];
const chosen = process.argv.length > 2 ? process.argv.slice(2) : projects;
let failed = false;
for (const project of chosen) {
  const { status } = spawnSync(process.execPath, [compiler, '--noEmit', '--pretty', 'false', '-p', project], { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`typecheck: ${project} has errors`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
