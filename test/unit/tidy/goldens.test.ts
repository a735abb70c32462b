import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dependenciesOfGenerator, originProblems } from '../../support/goldenOrigins';
import { filesUnder, projectRoot, readText } from '../../support/sourceTree';

const inGolden = filesUnder('test/golden');
const goldens = [...inGolden.filter((path) => path.endsWith('.json')), 'test/fixtures/onnx/expected.json'];
const textOf = (path: string) => (existsSync(join(projectRoot, path)) ? readText(path) : undefined);

describe('no golden was computed by the code that it tests', () => {
  test('every golden names an independent generator', () => {
    expect(goldens.length).toBeGreaterThan(50);
    expect(goldens.flatMap((path) => originProblems(path, JSON.parse(readText(path)), textOf))).toEqual([]);
  });

  test('everything else in test/golden is a generator, or text and lists of our own', () => {
    const own = /^test\/golden\/(?:make\/\w+\.py|(?:cli|package)\/[\w-]+\.txt)$/;
    expect(inGolden.filter((path) => !path.endsWith('.json') && !own.test(path))).toEqual([]);
  });
});

describe('the check refuses', () => {
  const source = 'PyPI diffq==0.2.4 (diffq/uniform.py)';
  const path = 'test/golden/training/new.json';

  test.each([
    ['a golden without an origin', { outputs: {} }, /names neither/],
    ['a package without a version', { kind: 'reference', source: 'PyPI diffq', licence: 'MIT' }, /names neither/],
    ['a branch instead of a commit', { kind: 'reference', source: 'owner/name@main file.py', licence: 'MIT' }, /names neither/],
    ['numbers that are not said to be a reference', { source, licence: 'MIT' }, /names neither/],
    ['no licence', { kind: 'reference', source }, /licence/],
    ['this project', { kind: 'reference', source: 'PyPI loomweight==1.0 file.py', licence: 'MIT' }, /by this project/],
    ['a generator that does not exist', { header: { made: 'python test/golden/make/none.py ROOT' } }, /does not exist/],
    ['a generator of something else', { header: { made: 'python test/golden/make/decoders.py ROOT' } }, /does not write it/],
    ['a generator in TypeScript', { made: { script: 'test/support/goldenOrigins.ts' } }, /not a Python script/],
  ])('%s', (_, document, words) => {
    expect(originProblems(path, document, textOf).join('; ')).toMatch(words);
  });

  test.each([
    ["subprocess.run(['node', 'x.js'])", /starts a process/],
    ["os.system('x')", /starts a process/],
    ["open(root / 'dist/cli.js')", /names a path/],
    ['command = "npx loomweight compress"', /mentions this project/],
    ['import json, ourcode', /imports 'ourcode'/],
    ['from support.ours import round', /imports 'support.ours'/],
    ["import_module('x')", /loads code/],
  ])('a generator with `%s`', (line, words) => {
    expect(dependenciesOfGenerator('make.py', `import torch\n${line}\n`).join('; ')).toMatch(words);
  });
});
