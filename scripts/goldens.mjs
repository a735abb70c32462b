// `npm run test:goldens`: every golden vector in the folder named by LOOMWEIGHT_GOLDENS (default: test/golden/peers) against what the product computes.
// The last line is "N passed, N failed, N skipped"; a file whose method is not built is skipped and named. Exit code 1 where anything failed.
import { join, resolve } from 'node:path';
import { runProgram, runScript } from './bundleProgram.mjs';
import { root } from './setup.mjs';

const folder = resolve(process.env.LOOMWEIGHT_GOLDENS || join(root, 'test', 'golden', 'peers'));
await runScript(() => runProgram(join(root, 'test', 'support', 'goldens', 'main.ts'), [folder]), '0 passed, 1 failed, 0 skipped');
