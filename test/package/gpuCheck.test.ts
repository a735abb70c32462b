import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CaseResult, CheckDocument, PartResult } from '../gpu/document';
import { partNames } from '../gpu/document';
import { ended, type Ended } from '../support/commandLine';
import { gradientCases } from '../support/gradientCases/gradientCases';
import { operatorCases } from '../support/operatorCases';
import { projectRoot } from '../support/sourceTree';

/** What a card would be checked with, packed here, unpacked elsewhere, and run with the CPU in the card's place. */

const limit = 20e6;
let folder: string;
let archives: string;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'loomweight-gpu-'));
  archives = path.join(folder, 'archives');
  const { code: status, stderr } = await pack('--no-provider', '--level', '1', '--limit', String(limit), '--out', archives);
  expect(stderr).toBe('');
  expect(status).toBe(0);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pack = (...words: readonly string[]) =>
  run(process.execPath, [path.join(projectRoot, 'scripts', 'gpu-pack.mjs'), ...words], projectRoot);

/** Not synchronous: the runner of the tests wants an answer from this process every minute. */
const run = (program: string, words: readonly string[], cwd: string): Promise<Ended> =>
  ended(spawn(program, words, { cwd, stdio: ['ignore', 'pipe', 'pipe'] }));

/** The script as it is carried to another machine, with an empty environment and without Python. */
async function check(from: string, into: string, words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const script = path.join(folder, 'check.sh');
  copyFileSync(path.join(projectRoot, 'test', 'gpu', 'check.sh'), script);
  const variables = Object.entries({ HOME: '/nowhere', LOOMWEIGHT_PYTHON: '/nowhere/python3', ...env }).map(
    ([name, value]) => `${name}=${value}`,
  );
  const { code, stdout, stderr } = await run(
    'env',
    ['-i', ...variables, 'bash', script, '--archives', from, '--into', into, ...words],
    folder,
  );
  // Exactly one JSON document, whatever happens.
  return { status: code, stderr, document: JSON.parse(stdout) as CheckDocument };
}

const copyOf = (name: string): string => {
  const copy = path.join(folder, name);
  cpSync(archives, copy, { recursive: true });
  return copy;
};

test('archives are within the size limit, and their checksums match', () => {
  const lines = readFileSync(path.join(archives, 'SHA256SUMS'), 'utf8').trim().split('\n');
  expect(lines.length).toBeGreaterThan(2);
  expect(readdirSync(archives).sort()).toEqual([...lines.map((line) => line.split('  ')[1]), 'SHA256SUMS'].sort());
  for (const [index, line] of lines.entries()) {
    const [sum, name] = line.split('  ') as [string, string];
    expect(name).toBe(`loomweight-gpu.tar.gz.${index + 1}`);
    const bytes = readFileSync(path.join(archives, name));
    expect(bytes.length).toBeLessThanOrEqual(limit);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sum);
  }
});

describe('the check with the CPU in place of a GPU', () => {
  let document: CheckDocument;
  let status: number | null;
  const into = () => path.join(folder, 'unpacked');
  const part = (name: keyof CheckDocument['parts']): PartResult => document.parts[name] as PartResult;
  beforeAll(async () => {
    const out = path.join(folder, 'out');
    // On a machine with other work every limit is stretched; what is run stays the same.
    const run = await check(archives, into(), ['--provider', 'cpu', '--short', '--seconds', '1300'], { OUT: out });
    ({ document, status } = run);
    expect(JSON.parse(readFileSync(path.join(out, 'gpu-check.json'), 'utf8'))).toEqual(document);
  }, 400_000);

  test('exits with 0, and every part states how it ended', () => {
    expect(document.notes).toEqual(['peer: There is no python3 here, so there is nothing to compare speed with.']);
    expect(document).toMatchObject({ program: 'loomweight gpu check', provider: 'cpu', mode: 'short', outcome: 'agrees' });
    expect(Object.keys(document.parts)).toEqual([...partNames]);
    const statuses = Object.fromEntries(partNames.map((name) => [name, part(name).status]));
    expect(statuses).toEqual({ ...Object.fromEntries(partNames.map((name) => [name, 'agrees'])), peer: 'skipped' });
    expect(status).toBe(0);
  });

  test('runs the packed runtime and command line, not those of the project', () => {
    const report = part('devices')['report'] as { readonly runtimePath: string };
    expect(report.runtimePath).toBe(path.join(into(), 'node_modules', 'onnxruntime-node'));
    expect(part('evaluation')['commandLine']).toMatchObject({ provider: 'cpu', value: part('evaluation')['value'] });
  });

  test.each([
    ['gradients', () => gradientCases.length],
    // Random operators are left out; sums, bodies, quantised products and decoder graphs are added.
    ['operators', () => operatorCases.filter(({ op }) => !/^(Random|Bernoulli|Multinomial)/.test(op)).length + 29],
  ] as const)('all %s ran, each with its error', (name, count) => {
    const cases = part(name)['cases'] as readonly CaseResult[];
    expect(cases).toHaveLength(count());
    expect(new Set(cases.map((each) => each.name)).size).toBe(cases.length);
    expect(part(name)).toMatchObject({ ran: count(), agreeing: count(), disagreements: [] });
    for (const each of cases) expect(each.error, each.name).toBeLessThan(1e-4);
    // The interpreter is another implementation: if every error were 0, nothing would be compared.
    if (name === 'gradients') expect(cases.filter(({ referenceError }) => (referenceError ?? 0) > 0).length).toBeGreaterThan(100);
  });

  test('the control flow and the attention of the engine are among the operators', () => {
    const names = (part('operators')['cases'] as readonly CaseResult[]).map((each) => each.name).join('\n');
    for (const wanted of [
      'Loop: carried',
      'Scan over row blocks',
      'If, the first branch',
      'Scan within If within Loop',
      'com.microsoft.GroupQueryAttention',
      'com.microsoft.MultiHeadAttention',
      'com.microsoft.Attention',
      'com.microsoft.RotaryEmbedding',
      '\nAttention(',
      'decoder block, fused operators, sliding window',
      'language model with a cache',
      'MatMulNBits of 2 bits',
      'Conv(',
      'MatMul of 256 x 512 and 512 x 256',
    ])
      expect(names).toContain(wanted);
  });

  test('reports speeds and what each provider ran', () => {
    const shares = { shares: [{ provider: 'CPUExecutionProvider', share: 1 }], nodesOnCpu: 0 };
    const { float, diffq } = part('training')['methods'] as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    for (const method of [float, diffq]) {
      expect(method).toMatchObject(shares);
      expect(method?.['stepsPerSecond']).toBeGreaterThan(0);
      expect(method?.['lossError']).toBeLessThan(1e-3);
    }
    expect(part('perplexity')).toMatchObject({ metric: 'perplexity', tokens: 1024, ...shares });
    expect(part('perplexity')['tokensPerSecond']).toBeGreaterThan(0);
    expect(part('rounding')).toMatchObject({ weights: 2_899_968, ...shares, evaluation: { status: 'agrees', metric: 'perplexity' } });
    expect(part('rounding')['weightsPerSecond']).toBeGreaterThan(0);
    expect(part('evaluation')).toMatchObject({ metric: 'accuracy', samples: 360, ...shares });
  });

  test('a second run unpacks nothing and runs only the requested parts', async () => {
    const again = await check(archives, into(), ['--provider', 'cpu', '--short', '--parts', 'evaluation']);
    expect(again.stderr).toContain('check: unpacked already');
    expect(Object.keys(again.document.parts)).toEqual(['evaluation']);
    expect(again.status).toBe(0);
  }, 120_000);

  test('without a provider library, a driver or CUDA, every part states what is missing', async () => {
    const { document: found, status: code } = await check(archives, into(), ['--short']);
    expect(found).toMatchObject({ provider: 'cuda', outcome: 'nothing ran' });
    expect(code).toBe(0);
    for (const name of partNames)
      expect(found.parts[name]).toMatchObject({ status: 'skipped', note: expect.stringMatching(/\.$/) as string });
    expect(found.parts.devices?.note).toMatch(/^cuda cannot be used here: /);
    expect(found.parts.devices).toMatchObject({ computes: false, usable: false, failure: expect.stringContaining('cuda') as string });
  }, 60_000);

  test('a part without time left is reported as a timeout, not missing', async () => {
    const { document: found } = await check(archives, into(), ['--provider', 'cpu', '--short', '--seconds', '3']);
    expect(Object.keys(found.parts)).toEqual([...partNames]);
    expect(found.parts.gradients?.status).toBe('timeout');
    expect(found.notes.find((note) => note.startsWith('gradients: '))).toMatch(/did not end within its time|No time was left/);
  }, 60_000);
});

describe('damaged archives', () => {
  test('one changed byte is detected before anything is unpacked', async () => {
    const copy = copyOf('tampered');
    const file = path.join(copy, 'loomweight-gpu.tar.gz.2');
    const bytes = readFileSync(file);
    bytes[1_234_567] = (bytes[1_234_567] as number) ^ 1;
    writeFileSync(file, bytes);
    const { status, document } = await check(copy, path.join(folder, 'nothing'), ['--provider', 'cpu']);
    expect(document).toMatchObject({ outcome: 'nothing ran', parts: {} });
    expect(document.notes[0]).toMatch(/^The archive loomweight-gpu\.tar\.gz\.2 is damaged: its SHA-256 is not the one in SHA256SUMS\./);
    expect(status).toBe(2);
    expect(existsSync(path.join(folder, 'nothing'))).toBe(false);
  });

  test('a missing archive is named, and so are missing checksums', async () => {
    const copy = copyOf('incomplete');
    rmSync(path.join(copy, 'loomweight-gpu.tar.gz.3'));
    const missing = await check(copy, path.join(folder, 'nothing'), ['--provider', 'cpu']);
    expect(missing.document.notes[0]).toMatch(/^The archive loomweight-gpu\.tar\.gz\.3 is missing in /);
    expect(missing.status).toBe(2);
    const empty = path.join(folder, 'empty');
    mkdirSync(empty);
    const without = await check(empty, path.join(folder, 'nothing'), []);
    expect(without.document.notes[0]).toMatch(/SHA256SUMS: run "npm run gpu:pack"/);
    expect(without.status).toBe(2);
  });
});

describe('packing', () => {
  const refused = async (...words: readonly string[]): Promise<string> => {
    const { code: status, stderr } = await pack('--out', path.join(folder, 'refused'), ...words);
    expect(status).toBe(1);
    expect(existsSync(path.join(folder, 'refused', 'SHA256SUMS'))).toBe(false);
    return stderr.trim();
  };

  test('without the CUDA provider is refused, with where to get it', async () => {
    mkdirSync(path.join(folder, 'no-provider'), { recursive: true });
    expect(await refused('--provider-folder', path.join(folder, 'no-provider'))).toMatch(
      /libonnxruntime_providers_shared\.so is missing\. Name the folder of the CUDA provider .* --provider-folder .* --no-provider\.$/,
    );
  });

  test('a provider of another version is refused', async () => {
    const other = path.join(folder, 'other-provider');
    mkdirSync(other, { recursive: true });
    for (const name of ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'])
      writeFileSync(path.join(other, name), 'ELF\x001.20.0\x00');
    expect(await refused('--provider-folder', other)).toMatch(/is not of ONNX Runtime \d+\.\d+\.\d+, which the project uses\./);
  });

  test('a program other than Node, an unknown option and an invalid limit are refused', async () => {
    expect(await refused('--no-provider', '--node', '/bin/ls')).toMatch(/\/bin\/ls is not Node 20 or later for linux-x64\./);
    expect(await refused('--fast')).toBe("gpu-pack: Unknown option '--fast'");
    expect(await refused('--limit', '60MB')).toMatch(/--limit takes a whole number of bytes/);
  });
});
