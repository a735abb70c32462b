// Makes the VSIX for one platform: `npm run package`, or `npm run package -- --target win32-x64`. The result is in packages/.
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { SetupError, ensurePackages, root } from './setup.mjs';
import { chooseTarget, copyRuntime } from './packageTargets.mjs';
import { thirdPartyNotices } from './thirdPartyNotices.mjs';

/** Runs a Node script of the project; throws when it fails. */
function run(script, args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { cwd: root, encoding: 'utf8' });
  if (status !== 0) {
    throw new SetupError(`package: ${script} ended with exit code ${status}.\n${stdout}${stderr}`);
  }
}

async function makePackage(target) {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const dist = join(root, 'dist');
  run(join(root, 'scripts', 'build.mjs'), ['--production']);
  await copyRuntime(join(root, 'node_modules'), join(dist, 'node_modules'), target);
  const bundles = JSON.parse(await readFile(join(dist, 'bundles.json'), 'utf8'));
  await writeFile(join(dist, 'THIRD_PARTY_NOTICES.txt'), await thirdPartyNotices(root, bundles, target.split('-')[0]));
  const out = join(root, 'packages', `loomweight-${version}-${target}.vsix`);
  await mkdir(join(root, 'packages'), { recursive: true });
  await rm(out, { force: true });
  // Links in the README stay as they are: without a repository address there is nothing to rewrite them to.
  const options = ['--no-dependencies', '--allow-missing-repository', '--no-rewrite-relative-links'];
  run(createRequire(import.meta.url).resolve('@vscode/vsce/vsce'), ['package', '--target', target, ...options, '-o', out]);
  return out;
}

try {
  const target = chooseTarget(process.argv.slice(2));
  ensurePackages();
  const out = await makePackage(target);
  console.log(`package: ${out} (${((await stat(out)).size / 1e6).toFixed(1)} MB)`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
