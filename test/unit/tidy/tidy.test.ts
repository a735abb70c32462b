import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hostTasks } from '../../../src/engine/hostTasks';
import { filesUnder, importsOf, projectRoot, reachableFrom, readText } from '../../support/sourceTree';

const sources = filesUnder('src', 'webview').filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
const tests = filesUnder('test').filter((path) => path.endsWith('.ts'));
const scripts = filesUnder('scripts', '.ci').concat(filesUnder('test').filter((path) => path.endsWith('.mjs')));
const prose = filesUnder('docs', 'media/samples').filter((path) => path.endsWith('.md'));
const roots = ['README.md', 'CHANGELOG.md', 'package.json', 'eslint.config.mjs', 'vitest.config.mjs'].filter((path) =>
  existsSync(join(projectRoot, path)),
);

/** Files of more than 350 lines, each with the reason why it is one piece. */
const longFiles: Readonly<Record<string, string>> = {};

/** Places where a pattern occurs, as `file:line`. */
function occurrences(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    readText(path)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : [])),
  );
}

describe('the source tree', () => {
  test('every source file is reached from an entry point: nothing is unused or missing from a registry', () => {
    // The last two are read by `npm run docs` only.
    const programs = [
      'src/extension/extension.ts',
      'src/engine/main.ts',
      'src/engine/supervisor.ts',
      'src/engine/table.ts',
      'src/engine/worker.ts',
      'src/cli/main.ts',
    ];
    const entries = [...programs, 'src/cli/documentation.ts', 'src/engine/recipe/jsonSchema.ts'].concat(
      sources.filter((path) => /^webview\/panels\/[^/]+\/main\.ts$/.test(path)),
    );
    for (const entry of entries) expect(existsSync(join(projectRoot, entry)), entry).toBe(true);
    const reached = reachableFrom(entries);
    expect(sources.filter((path) => !reached.has(path))).toEqual([]);
  });

  test('every method, exporter and architecture in a registry folder is named by the registry', () => {
    const registries = sources.filter((path) => /\/index\.ts$/.test(path));
    expect(registries.length).toBeGreaterThan(0);
    const forgotten = registries.flatMap((registry) => {
      const folder = registry.slice(0, -'/index.ts'.length);
      const inFolder = (path: string) => path.startsWith(`${folder}/`) && !path.slice(folder.length + 1).includes('/');
      const known = reachableFrom([registry]);
      return sources.filter((path) => inFolder(path) && !known.has(path));
    });
    expect(forgotten).toEqual([]);
  });

  test('there are no import cycles, including types', () => {
    // The linter's rule passes over imports of types; they tie files together just the same.
    const circles = sources.filter((path) => reachableFrom(importsOf(path)).has(path));
    expect(circles).toEqual([]);
  });

  test('every task for worker threads is in the list of the worker', () => {
    const defined = sources.flatMap((path) =>
      [...readText(path).matchAll(/defineHostTask\(\{\s*name: '([^']+)'/g)].map((match) => match[1] as string),
    );
    expect(defined).not.toEqual([]);
    expect(hostTasks.map(({ name }) => name).sort()).toEqual(defined.sort());
  });

  test('no marks for work left to do', () => {
    const mark = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`);
    expect(occurrences([...sources, ...tests, ...scripts, ...prose, ...roots], mark)).toEqual([]);
  });

  test('no test is skipped, alone, or expected to fail', () => {
    const pattern = new RegExp(
      `\\b(test|it|describe)\\.(${['sk' + 'ip', 'on' + 'ly', 'to' + 'do', 'fa' + 'ils', 'run' + 'If'].join('|')})`,
    );
    expect(occurrences(tests, pattern)).toEqual([]);
  });

  test('no paths of a particular machine', () => {
    const pattern = new RegExp(`(^|[\\s'"\`(=])/(wo` + `rk|ro` + `ot|home/[a-z]+)/|[A-Z]:\\\\\\\\Users`);
    expect(occurrences([...sources, ...tests, ...scripts, ...prose, ...roots], pattern)).toEqual([]);
  });

  test('files are at most 350 lines long, or have a reason', () => {
    const long = [...sources, ...tests, ...scripts].filter((path) => readText(path).split('\n').length > 351);
    expect(long.filter((path) => longFiles[path] === undefined)).toEqual([]);
    expect(Object.keys(longFiles).filter((path) => !long.includes(path))).toEqual([]);
  });

  test('common imports only common; protocol imports no Node modules outside its client', () => {
    const foreign = (folder: string, allowed: RegExp) =>
      sources
        .filter((path) => path.startsWith(folder) && !path.startsWith('src/protocol/client/'))
        .flatMap((path) =>
          importsOf(path)
            .filter((name) => !allowed.test(name))
            .map((name) => `${path}: ${name}`),
        );
    expect(foreign('src/common/', /^src\/common\//)).toEqual([]);
    expect(foreign('src/protocol/', /^src\/(common|protocol)\//)).toEqual([]);
  });
});

describe('test data', () => {
  test('every fixture is described in the README', () => {
    const fixtures = new Set(
      filesUnder('test/fixtures')
        .map((path) => path.split('/')[2] ?? '')
        .filter((name) => name !== 'README.md'),
    );
    const described = existsSync(join(projectRoot, 'test/fixtures/README.md')) ? readText('test/fixtures/README.md') : '';
    expect([...fixtures].filter((name) => !described.includes(name))).toEqual([]);
  });

  test('every golden file states the origin of its numbers', () => {
    const goldens = filesUnder('test/golden').filter((path) => path.endsWith('.json'));
    expect(goldens.length).toBeGreaterThan(0);
    const headed = (path: string) => {
      const document = JSON.parse(readText(path)) as Record<string, unknown>;
      const header = (document['header'] ?? document) as Record<string, unknown>;
      return ['source', 'provenance', 'made'].some((key) => header[key] !== undefined);
    };
    expect(goldens.filter((path) => !headed(path))).toEqual([]);
  });

  test('lockfiles name no registry', () => {
    const locks = ['package-lock.json', 'test/ui/server/package-lock.json'];
    expect(locks.filter((path) => /"resolved"/.test(readText(path)))).toEqual([]);
  });
});
