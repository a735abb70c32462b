import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CommandLine, ended } from '../support/commandLine';
import { makeOdd } from './makeOdd';
import { differenceOfOutputs, loadInOnnxRuntime } from './onnxOutputs';
import { attacks, files } from './outcomes';
import type { Case, Command } from './outcomes';

const root = join(__dirname, '..', '..');
const folderOfCases = process.env['LOOMWEIGHT_CASES'] ?? join(root, 'test', 'fixtures', 'cases');
const samples = join(root, 'media', 'samples');

/** The parts of a report that the outcomes speak of. */
interface Report {
  readonly value?: number;
  readonly layers?: readonly { readonly name: string }[];
}

let line: CommandLine;
const made = mkdtempSync(join(tmpdir(), 'loomweight-cases-'));
beforeAll(async () => {
  makeOdd(made);
  line = await CommandLine.build();
});
afterAll(async () => {
  rmSync(made, { recursive: true, force: true });
  await line.remove();
});

/** Runs one command of a case and checks what it left. */
async function check(entry: Case, command: Command, folder: string): Promise<void> {
  const inputs = join(folderOfCases, entry.folder);
  const place = (path: string): string => join(path.startsWith('OUT') ? folder : inputs, path);
  const words = command.command.split(' ').map((word) =>
    /^OUT2?$/.test(word)
      ? join(folder, word)
      : word
          .replace(/^DIGITS/, join(samples, 'digits'))
          .replace(/^LOOM(?=$|\/)/, join(samples, 'loom-base'))
          .replace(/^MADE/, made),
  );
  const json = !command.command.includes('--verbose');
  const started = Date.now();
  const child = line.start([...words, ...(json ? ['--json'] : [])], { cwd: inputs });
  const stop = setTimeout(() => child.kill('SIGKILL'), (command.seconds ?? 60) * 1000);
  const { code, stdout, stderr } = await ended(child).finally(() => clearTimeout(stop));
  const seconds = (Date.now() - started) / 1000;
  const text = `${stdout}${stderr}`;
  expect([command.exit].flat(), text.slice(0, 2000)).toContain(code);
  if (command.says) expect(text).toMatch(command.says);
  if (command.neverSays) expect(text).not.toMatch(command.neverSays);
  if (command.seconds !== undefined) expect(seconds).toBeLessThan(command.seconds);
  if (command.loads !== undefined) await (await loadInOnnxRuntime(place(command.loads))).release();
  if (command.agrees) {
    const { source, result, within } = command.agrees;
    expect(await differenceOfOutputs(place(source), place(result))).toBeLessThanOrEqual(within);
  }
  const report = json && code === 0 ? (JSON.parse(stdout) as Report) : {};
  if (command.perplexity) {
    const { value, within } = command.perplexity;
    expect(Math.abs(report.value! - value) / value).toBeLessThan(within);
  }
  const names = report.layers?.map((layer) => layer.name) ?? [];
  if (command.compressed) {
    for (const pattern of command.compressed) expect(names.filter((name) => pattern.test(name))).toHaveLength(1);
    expect(names).toHaveLength(command.compressed.length);
  }
  if (command.kept) expect(names.filter((name) => command.kept!.test(name))).toEqual([]);
  if (command.json) expect(JSON.parse(readFileSync(place(command.json.path), 'utf8'))).toMatchObject(command.json.contains as object);
}

async function run(entry: Case): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-case-'));
  try {
    for (const command of entry.commands) await check(entry, command, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('inputs of ordinary use', () => {
  test.each(files)('$name', run);
});

describe('hostile inputs', () => {
  test.each(attacks)('$name', run, 180_000);
});
