// Makes the VSIX for one platform: `npm run package`, or `npm run package -- --target win32-x64`. The result is in packages/.
import { cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { SetupError, ensurePackages, root } from './setup.mjs';
import { chooseTarget, copyRuntime } from './packageTargets.mjs';
import { thirdPartyNotices } from './thirdPartyNotices.mjs';

/** Runs a Node script of the project; throws when it fails. */
function run(script, args, cwd = root) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { cwd, encoding: 'utf8' });
  if (status !== 0) {
    throw new SetupError(`package: ${script} ended with exit code ${status}.\n${stdout}${stderr}`);
  }
}

/**
 * Lays the files of the package out in a folder of their own. The repository's README is for who works on the project; the package has one for its users, whose pictures are in
 * the package.
 */
async function stageFiles() {
  const stage = join(root, '.tmp', 'package');
  await rm(stage, { recursive: true, force: true });
  await mkdir(stage, { recursive: true });
  for (const name of ['package.json', 'package.nls.json', '.vscodeignore', 'CHANGELOG.md', 'LICENSE', 'dist', 'media', 'docs/images'])
    await cp(join(root, name), join(stage, name), { recursive: true });
  const readme = await readFile(join(root, 'docs', 'extension', 'README.md'), 'utf8');
  await writeFile(join(stage, 'README.md'), readme.replaceAll('](../images/', '](docs/images/'));
  return stage;
}

async function makePackage(target) {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const dist = join(root, 'dist');
  run(join(root, 'scripts', 'build.mjs'), ['--production']);
  await copyRuntime(join(root, 'node_modules'), join(dist, 'node_modules'), target);
  const bundles = JSON.parse(await readFile(join(dist, 'bundles.json'), 'utf8'));
  await writeFile(join(dist, 'THIRD_PARTY_NOTICES.txt'), await thirdPartyNotices(root, bundles, target.split('-')[0]));
  const stage = await stageFiles();
  const out = join(root, 'packages', `loomweight-${version}-${target}.vsix`);
  await mkdir(join(root, 'packages'), { recursive: true });
  await rm(out, { force: true });
  // Links in the README stay as they are: they name files of the package.
  const options = ['--no-dependencies', '--allow-missing-repository', '--no-rewrite-relative-links'];
  run(createRequire(import.meta.url).resolve('@vscode/vsce/vsce'), ['package', '--target', target, ...options, '-o', out], stage);
  await rm(stage, { recursive: true, force: true });
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
