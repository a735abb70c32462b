import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** Python on this machine, if there is one: its program, version, PyTorch's version, and the folders that packages are installed in. */
export interface Python {
  readonly program: string;
  readonly version: string;
  readonly torch?: string;
  readonly packages: readonly string[];
}

const question = [
  'import json, site, sys, sysconfig',
  'paths = list(dict.fromkeys([p for p in sys.path if p] + site.getsitepackages() + [sysconfig.get_paths()["purelib"]]))',
  'try:',
  '    import importlib.metadata as m; torch = m.version("torch")',
  'except Exception: torch = None',
  'print(json.dumps({"version": sys.version.split()[0], "torch": torch, "packages": paths}))',
].join('\n');

/** Asks python3 of the path, or the program that LOOMWEIGHT_PYTHON names. Undefined if there is none. */
export function findPython(env: NodeJS.ProcessEnv = process.env): Python | undefined {
  const program = env['LOOMWEIGHT_PYTHON'] ?? 'python3';
  try {
    const text = execFileSync(program, ['-c', question], { encoding: 'utf8', env, timeout: 30_000, stdio: ['ignore', 'pipe', 'ignore'] });
    const { version, torch, packages } = JSON.parse(text) as { version: string; torch: string | null; packages: readonly string[] };
    return { program, version, packages, ...(torch === null ? {} : { torch }) };
  } catch {
    return undefined; // The question was whether it is there.
  }
}

/** Where Python packages usually are, for machines whose python3 is not the one with PyTorch. */
const usualParents = ['/usr/lib', '/usr/local/lib', '/opt/conda/lib', '/opt/venv/lib', '/opt/python/lib'];

/**
 * Folders with CUDA's and cuDNN's libraries: `nvidia/<part>/lib` of Python packages, as PyTorch for CUDA installs them, then a toolkit's own. Only folders
 * that hold shared libraries.
 */
export function cudaFolders(python: Python | undefined, usual: readonly string[] = usualParents): readonly string[] {
  const parents = usual.flatMap((parent) =>
    list(parent)
      .filter((name) => name.startsWith('python3'))
      .flatMap((name) => [path.join(parent, name, 'site-packages'), path.join(parent, name, 'dist-packages')]),
  );
  const packages = [...new Set([...(python?.packages ?? []), ...parents])];
  const found = packages.flatMap((folder) => list(path.join(folder, 'nvidia')).map((name) => path.join(folder, 'nvidia', name, 'lib')));
  const toolkits = ['/usr/local/cuda/lib64', '/usr/local/cuda/targets/x86_64-linux/lib'];
  return [...found, ...toolkits].filter((folder) => list(folder).some((name) => /\.so(\.|$)/.test(name)));
}

function list(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
