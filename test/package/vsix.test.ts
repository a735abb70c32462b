import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot, readText } from '../support/sourceTree';
import { readZip } from '../support/zip';

const { version } = JSON.parse(readText('package.json')) as { version: string };
const target = `${process.platform}-${process.arch}`;
const packagePath = join(projectRoot, 'packages', `loomweight-${version}-${target}.vsix`);
const entries = readZip(packagePath);
const find = (name: string) => {
  const entry = entries.find((each) => each.name === name);
  if (!entry) throw new Error(`no ${name} in the package`);
  return entry;
};

test('the package contains exactly what is listed', () => {
  const golden = join(projectRoot, 'test/golden/package', `${target}.txt`);
  const actual = `${entries
    .map(({ name }) => name)
    .sort()
    .join('\n')}\n`;
  const expected = existsSync(golden) ? readFileSync(golden, 'utf8') : '';
  if (actual !== expected) writeFileSync(`${golden}.actual`, actual);
  expect(actual.split('\n')).toEqual(expected.split('\n'));
});

test('the README of the package is for users, and every picture and file that it names is in the package', () => {
  const readme = find('extension/readme.md').read().toString('utf8');
  expect(readme).not.toMatch(/npm (run|ci|test)/);
  const targets = [...readme.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] as string);
  expect(targets.length).toBeGreaterThan(2);
  for (const target of targets) expect(find(`extension/${target}`).read().length, target).toBeGreaterThan(1000);
});

test("the package has at most 30 MB, and only this platform's binaries of ONNX Runtime", () => {
  expect(statSync(packagePath).size).toBeLessThan(30e6);
  const folders = new Set(entries.flatMap(({ name }) => /bin\/napi-v6\/([^/]+\/[^/]+)\//.exec(name)?.[1] ?? []));
  expect([...folders]).toEqual([`${process.platform}/${process.arch}`]);
});

test('the notices name every bundled package with a licence text', () => {
  const notices = find('extension/dist/THIRD_PARTY_NOTICES.txt').read().toString('utf8');
  const bundles = JSON.parse(readText('dist/bundles.json')) as Record<string, { readonly inputs: readonly string[] }>;
  const inputs = Object.values(bundles).flatMap((bundle) => bundle.inputs);
  const names = new Set(inputs.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));
  for (const name of [...names, 'onnxruntime-node', 'onnxruntime-common']) expect(notices).toContain(`\n${name} `);
  const sections = notices.split(/\n-{100}\n/).slice(2);
  for (const section of sections) expect(section, section.slice(0, 80)).toMatch(/copyright|licen[cs]e/i);
});

test('the command line of the package works outside the project', () => {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-package-'));
  try {
    for (const { name, read } of entries.filter((entry) => entry.name.startsWith('extension/'))) {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, read());
    }
    const cli = join(folder, 'extension/dist/cli.js');
    expect(execFileSync(process.execPath, [cli, '--version'], { encoding: 'utf8' })).toContain(version);
    const model = join(folder, 'extension/media/samples/loom-base');
    const text = join(folder, 'extension/media/samples/text/books.txt');
    const evaluated = spawnSync(
      process.execPath,
      [cli, 'evaluate', model, '--text', text, '--window', '64', '--limit', '2', '--provider', 'cpu', '--json'],
      { encoding: 'utf8' },
    );
    expect(evaluated.status, evaluated.stderr).toBe(0);
    const { metric, value } = JSON.parse(evaluated.stdout) as { metric: string; value: number };
    expect(metric).toBe('perplexity');
    expect(value).toBeGreaterThan(1);
    expect(value).toBeLessThan(1000);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a target without binaries is refused in one line that lists the others', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(projectRoot, 'scripts/package.mjs'), '--target', 'darwin-x64'], {
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  expect(stderr.trim()).toBe(
    'package: no target "darwin-x64". ONNX Runtime has binaries for linux-x64, linux-arm64, win32-x64, win32-arm64, darwin-arm64: choose one with --target.',
  );
});
