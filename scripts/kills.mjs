// `npm run test:kills -- [--count 300] [--seed 0]`: kills jobs of all kinds at random times and looks for what the next start leaves (Linux).
// The last line is "N kills, N left over"; exit code 1 where anything is left.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runNode, runProgram, runScript } from './bundleProgram.mjs';
import { SetupError, root } from './setup.mjs';

const options = { count: { type: 'string', default: '300' }, seed: { type: 'string', default: '0' } };

await runScript((args) => {
  const { count, seed } = parseArgs({ args, options }).values;
  const build = () => {
    if (runNode([join(root, 'scripts', 'build.mjs')]) !== 0) throw new SetupError('kills: the build failed.');
  };
  return runProgram(join(root, 'test/support/kills/main.ts'), [join(root, 'dist/cli.js'), join(root, 'media/samples'), count, seed], build);
});
