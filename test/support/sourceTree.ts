import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. */
export const projectRoot = fileURLToPath(new URL('../..', import.meta.url));

const ignored = new Set(['node_modules', 'dist', '.git', '.tmp', 'test-results', 'coverage', 'packages', 'generated']);

/** Files under the folders, with forward slashes, relative to the project; what git ignores and generated code left out. */
export function filesUnder(...folders: readonly string[]): string[] {
  const found: string[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(projectRoot, folder), { withFileTypes: true })) {
      if (ignored.has(entry.name)) continue;
      const path = folder === '.' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else found.push(path);
    }
  };
  for (const folder of folders) if (existsSync(join(projectRoot, folder))) walk(folder);
  return found.sort();
}

export const readText = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');

const known = new Map<string, readonly string[]>();

/** Modules that a TypeScript file names: relative ones as project paths, others as they are. Comments are not searched. Each file is read once. */
export function importsOf(path: string): readonly string[] {
  const names = known.get(path) ?? readImports(path);
  known.set(path, names);
  return names;
}

function readImports(path: string): readonly string[] {
  const pattern = /(?:^|\n)\s*(?:import|export)\s(?:[^;'"]*?\sfrom\s)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [...readText(path).matchAll(pattern)].map((match) => resolveImport(path, match[1] ?? match[2] ?? ''));
}

function resolveImport(from: string, name: string): string {
  if (!name.startsWith('.')) return name;
  const base = join(projectRoot, dirname(from), name);
  const candidates = [base, `${base}.ts`, join(base, 'index.ts')];
  const found = candidates.find((candidate) => /\.\w+$/.test(candidate) && existsSync(candidate));
  return relative(projectRoot, found ?? base)
    .split(sep)
    .join('/');
}

/** Everything that is reached from the entries over relative imports. */
export function reachableFrom(entries: readonly string[]): Set<string> {
  const seen = new Set<string>();
  const open = [...entries];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path) || !existsSync(join(projectRoot, path))) continue;
    seen.add(path);
    if (path.endsWith('.ts')) open.push(...importsOf(path).filter((name) => /^(src|webview)\//.test(name)));
  }
  return seen;
}
