// Packs everything that the check on a graphics card needs into archives that a machine without network and without Node can unpack:
// npm run gpu:pack [-- --provider-folder FOLDER] [--no-provider] [--node FILE] [--out FOLDER] [--limit BYTES] [--level 1-9]
// The result is in .tmp/gpu: loomweight-gpu.tar.gz.1, .2, ... and SHA256SUMS. test/gpu/check.sh unpacks and runs them.
//
// gzip, because a bare machine may have no xz, and because both make as many archives: what is packed for one architecture takes 104 MB with gzip and 82 MB
// with xz, two archives either way. Parts that seldom change come first, so that after a change of the program only the last archive differs.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleProgram } from './bundleProgram.mjs';
import { copyRuntime } from './packageTargets.mjs';
import { SetupError, ensurePackages, root } from './setup.mjs';
import { writeArchive } from './tarArchive.mjs';

const target = 'linux-x64';
const providerLibraries = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];
const nativeFolder = 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64';
const archive = 'loomweight-gpu.tar.gz';
const sums = 'SHA256SUMS';
/** Below the 64 MiB that fit one transfer. */
const usualLimit = 60e6;

const known = {
  'provider-folder': { type: 'string' },
  'no-provider': { type: 'boolean', default: false },
  node: { type: 'string', default: process.execPath },
  out: { type: 'string', default: join(root, '.tmp', 'gpu') },
  limit: { type: 'string', default: String(usualLimit) },
  level: { type: 'string', default: '9' },
};

function parse(argv) {
  try {
    return parseArgs({ args: argv.filter((word) => word !== '--'), options: known }).values;
  } catch (error) {
    throw new SetupError(`gpu-pack: ${error.message}`);
  }
}

function options(argv) {
  const values = parse(argv);
  const [limit, level] = [Number(values.limit), Number(values.level)];
  if (!(limit >= 1e6) || !Number.isInteger(limit)) {
    throw new SetupError(`gpu-pack: --limit takes a whole number of bytes, at least 1000000, got "${values.limit}".`);
  }
  if (!(level >= 1 && level <= 9)) {
    throw new SetupError(`gpu-pack: --level takes 1 to 9, got "${values.level}".`);
  }
  return { ...values, limit, level, out: resolve(values.out) };
}

/** A file of the project that must be there, or what to do. */
function required(path, advice) {
  if (!existsSync(path)) {
    throw new SetupError(`gpu-pack: ${path} is missing. ${advice}`);
  }
  return path;
}

/** The CUDA provider's libraries, of the same version as the runtime that is packed. */
function providerFiles(folder) {
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules/onnxruntime-node/package.json'), 'utf8'));
  const advice =
    `Name the folder of the CUDA provider of ONNX Runtime ${version} with --provider-folder (its ${providerLibraries.join(' and ')} are in the Python package ` +
    `onnxruntime-gpu ${version}, folder onnxruntime/capi), or pack for the CPU alone with --no-provider.`;
  const from = folder === undefined ? join(root, nativeFolder) : resolve(folder);
  const files = providerLibraries.map((name) => ({ name: `${nativeFolder}/${name}`, path: required(join(from, name), advice) }));
  // The library carries the version that it was built as; another one would end the process when it is loaded.
  if (!readFileSync(files[1].path).includes(`\0${version}\0`)) {
    throw new SetupError(`gpu-pack: ${files[1].path} is not of ONNX Runtime ${version}, which the project uses. ${advice}`);
  }
  return files;
}

/** The Node binary without symbols where "strip" is at hand. It must bring everything but the C and C++ libraries itself. */
async function nodeBinary(path, temporary) {
  required(path, 'Name a Node binary for linux-x64 with --node.');
  const copy = join(temporary, 'node');
  await copyFile(path, copy);
  await chmod(copy, 0o755);
  try {
    execFileSync('strip', [copy], { stdio: 'ignore' });
  } catch {
    // Without binutils the archive is some 5 MB larger.
  }
  const advice = 'Name one from nodejs.org or of the npm package "node" with --node.';
  if (/\blibnode\.so/.test((await readFile(copy)).subarray(0, 1 << 20).toString('latin1'))) {
    throw new SetupError(`gpu-pack: ${path} is only a part of Node: it needs libnode.so of this system. ${advice}`);
  }
  const asked = spawnSync(copy, ['-p', "[process.platform, process.arch, process.versions.node.split('.')[0]].join('-')"], {
    encoding: 'utf8',
  });
  const [platform, arch, major] = `${asked.stdout ?? ''}`.trim().split('-');
  if (`${platform}-${arch}` !== target || !(Number(major) >= 20)) {
    throw new SetupError(`gpu-pack: ${path} is not Node 20 or later for ${target}. ${advice}`);
  }
  return copy;
}

async function filesUnder(folder, prefix, keep = () => true) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .map((path) => ({ name: `${prefix}/${path.slice(folder.length + 1)}`, path }))
    .filter(({ name }) => keep(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Everything that is packed, what seldom changes in front. */
async function collect(given, temporary) {
  const build = 'Run "npm run build" first.';
  const dist = ['engine.js', 'cli.js', 'worker.js', 'table.js'].map((name) => ({
    name: `dist/${name}`,
    path: required(join(root, 'dist', name), build),
  }));
  const samples = join(root, 'media', 'samples');
  const provider = given['no-provider'] ? [] : providerFiles(given['provider-folder']);
  const runtime = join(temporary, 'node_modules');
  await copyRuntime(join(root, 'node_modules'), runtime, target);
  const packed = new Set(provider.map(({ name }) => name));
  const program = await bundleProgram(join(root, 'test/gpu/check.ts'), temporary);
  return [
    ...provider,
    { name: 'node', path: await nodeBinary(given.node, temporary), mode: 0o755 },
    ...(await filesUnder(runtime, 'node_modules', (name) => !packed.has(name))),
    ...(await filesUnder(join(samples, 'loom-base'), 'models/loom-base')),
    ...(await filesUnder(join(samples, 'digits'), 'models/digits')),
    { name: 'models/books.txt', path: join(samples, 'text', 'books.txt') },
    ...dist,
    // Threads are looked for beside the program that starts them.
    { name: 'worker.js', path: join(root, 'dist', 'worker.js') },
    { name: 'table.js', path: join(root, 'dist', 'table.js') },
    { name: 'peer.py', path: join(root, 'test/gpu/peer.py') },
    { name: 'check.mjs', path: program },
  ];
}

async function main(argv) {
  const given = options(argv);
  ensurePackages();
  // Inside the project, where the bundle's imports are found.
  await mkdir(join(root, '.tmp'), { recursive: true });
  const temporary = await mkdtemp(join(root, '.tmp', 'gpu-pack-'));
  try {
    const files = await collect(given, temporary);
    await mkdir(given.out, { recursive: true });
    for (const old of (await readdir(given.out)).filter((name) => name === sums || name.startsWith(`${archive}.`))) {
      await rm(join(given.out, old));
    }
    const parts = await writeArchive(files, { folder: given.out, name: archive, limit: given.limit, level: given.level });
    await writeFile(join(given.out, sums), parts.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(''));
    for (const { name, bytes } of parts) {
      console.log(`gpu-pack: ${join(given.out, name)} (${(bytes / 1e6).toFixed(1)} MB)`);
    }
    console.log('gpu-pack: bring each with SHA256SUMS and test/gpu/check.sh to the machine, then run: bash test/gpu/check.sh');
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
