import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { sharedLibraryNeeds } from './sharedLibraryNeeds';

/** The parts of a machine that device checks use. Tests provide their own. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  exists(path: string): boolean;
  /** Text of a file, or undefined. */
  read(path: string): string | undefined;
  /** Names in a folder; empty if there is none. */
  list(path: string): readonly string[];
  /** Shared libraries that a library requires; undefined if it cannot be read. */
  needs(path: string): readonly string[] | undefined;
  /** Standard output of a program; undefined if it cannot be run. At most 5 s. */
  run(program: string, args: readonly string[]): string | undefined;
}

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  return {
    platform: process.platform,
    arch: process.arch,
    env: process.env,
    exists: existsSync,
    read: (path) => attempt(() => readFileSync(path, 'utf8')),
    list: (path) => attempt(() => readdirSync(path)) ?? [],
    needs: sharedLibraryNeeds,
    run: (program, args) =>
      attempt(() => execFileSync(program, [...args], { encoding: 'utf8', timeout: 5000, stdio: ['ignore', 'pipe', 'ignore'] })),
  };
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined; // Only its existence matters.
  }
}

/** Folders that the Linux loader searches by default: from the environment and built in. */
function searchedFolders({ env, arch }: Machine): readonly string[] {
  const triple = arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  return [
    ...(env['LD_LIBRARY_PATH'] ?? '').split(delimiter).filter(Boolean),
    `/lib/${triple}`,
    `/usr/lib/${triple}`,
    '/lib64',
    '/usr/lib64',
    '/lib',
    '/usr/lib',
  ];
}

/**
 * Where a shared library would be loaded from on Linux: given folders, the loader's folders, the loader's cache. Undefined: it would not be
 * found.
 */
export function findLibrary(machine: Machine, name: string, folders: readonly string[] = []): string | undefined {
  for (const folder of [...folders, ...searchedFolders(machine)]) {
    const path = join(folder, name);
    if (machine.exists(path)) return path;
  }
  const cache = machine.run('/sbin/ldconfig', ['-p']) ?? '';
  const line = cache.split('\n').find((text) => text.trim().startsWith(`${name} `));
  return line?.split('=>')[1]?.trim();
}
