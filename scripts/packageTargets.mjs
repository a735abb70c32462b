// The platforms for which ONNX Runtime has binaries, and what of it ships to each.
import { copyFile, mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Targets of `vsce package --target`, with the folder of the runtime's binaries. */
export const targets = {
  'linux-x64': ['linux', 'x64'],
  'linux-arm64': ['linux', 'arm64'],
  'win32-x64': ['win32', 'x64'],
  'win32-arm64': ['win32', 'arm64'],
  'darwin-arm64': ['darwin', 'arm64'],
};

/** The names after `--target`, checked; default: this machine. Throws with one line that lists what there is. */
export function chooseTarget(argv) {
  const index = argv.indexOf('--target');
  const name = index < 0 ? `${process.platform}-${process.arch}` : argv[index + 1];
  if (name === undefined || !Object.hasOwn(targets, name)) {
    throw new Error(
      `package: no target "${name ?? ''}". ONNX Runtime has binaries for ${Object.keys(targets).join(', ')}: choose one with --target.`,
    );
  }
  return name;
}

// onnxruntime-common has a package.json beside its CommonJS files that says that they are such.
const scripts = async (folder) => (await readdir(folder, { recursive: true })).filter((name) => /\.js$|package\.json$/.test(name));

/**
 * Copies what onnxruntime-node needs at run time on one platform to `destination`/{onnxruntime-node,onnxruntime-common}.
 * A library with two names (macOS has the same 45 MB twice) is packaged under the one that the binding loads.
 */
export async function copyRuntime(modules, destination, target) {
  const binaries = join('bin', 'napi-v6', ...targets[target]);
  const from = join(modules, 'onnxruntime-node');
  const names = await readdir(join(from, binaries));
  const binding = await readFile(join(from, binaries, 'onnxruntime_binding.node'), 'latin1');
  const unwanted = names.filter((name) => /^libonnxruntime\..*(dylib|so)/.test(name) && !binding.includes(name));
  if (names.length - unwanted.length < 2) {
    throw new Error(`package: no ONNX Runtime library for ${target} in ${join(from, binaries)}. Reinstall onnxruntime-node.`);
  }
  const files = [
    ['onnxruntime-node', 'package.json'],
    ...(await scripts(join(from, 'dist'))).map((name) => ['onnxruntime-node', join('dist', name)]),
    ...names.filter((name) => !unwanted.includes(name)).map((name) => ['onnxruntime-node', join(binaries, name)]),
    ['onnxruntime-common', 'package.json'],
    ...(await scripts(join(modules, 'onnxruntime-common', 'dist', 'cjs'))).map((name) => ['onnxruntime-common', join('dist', 'cjs', name)]),
  ];
  await rm(destination, { recursive: true, force: true });
  for (const [name, file] of files) {
    const to = join(destination, name, file);
    await mkdir(dirname(to), { recursive: true });
    await copyFile(join(modules, name, file), to);
  }
}
