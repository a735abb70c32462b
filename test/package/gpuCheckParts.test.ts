import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/common/random';
import { disagreement, relativeError, tolerances } from '../gpu/compare';
import { outcomeOf, withRatios } from '../gpu/conclude';
import { cudaFolders, findPython } from '../gpu/surroundings';
import { runPart } from '../gpu/supervise';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'loomweight-parts-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program in the check's place: five cases, and what happens at some of them. */
function program(events: Readonly<Record<number, string>>): string {
  const script = path.join(folder, 'part.mjs');
  writeFileSync(
    script,
    `import { writeSync } from 'node:fs';
const word = (name) => process.argv[process.argv.indexOf(name) + 1];
const tell = (message) => writeSync(3, JSON.stringify(message) + '\\n');
const events = ${JSON.stringify(events)};
for (let index = Number(word('--from')); index < 5; index += Number(word('--stride'))) {
  tell({ kind: 'begin', index, name: 'case ' + index });
  if (events[index] === 'die') process.kill(process.pid, 'SIGSEGV');
  if (events[index] === 'hang') await new Promise((done) => setTimeout(done, 60000));
  const agrees = events[index] !== 'wrong';
  tell({ kind: 'case', index, result: { name: 'case ' + index, placed: 'provider', error: index, agrees, ...(agrees ? {} : { problem: 'y differs.' }) } });
}
tell({ kind: 'result', result: { status: 'agrees', expected: 5 } });
`,
  );
  return script;
}

const request = () => ({ provider: 'cuda', short: true, folder, scratch: path.join(folder, 'scratch'), trust: false }) as const;
const run = (script: string, limitMs = 20_000) => runPart('operators', { script, env: process.env, limitMs, request: request() });

describe('a part in its own processes', () => {
  test('a case that kills the process is one disagreement; the others run', async () => {
    const result = await run(program({ 1: 'die', 3: 'die' }));
    expect(result).toMatchObject({ status: 'disagrees', ran: 5, agreeing: 3, worst: { name: 'case 4', error: 4 } });
    expect(result['disagreements']).toEqual(
      [1, 3].map((index) => ({
        name: `case ${index}`,
        placed: 'provider',
        agrees: false,
        problem: 'The process ended with SIGSEGV.',
      })),
    );
    expect(result.note).toContain('2 of 5 operators disagree, first: case 1: The process ended with SIGSEGV.');
  });

  test('a case that hangs is a timeout that keeps earlier results', async () => {
    const result = await run(program({ 2: 'hang' }), 3000);
    expect(result).toMatchObject({ status: 'timeout', note: expect.stringContaining('(at case 2)') as string });
    expect(result['agreeing']).toBeGreaterThanOrEqual(2);
    expect(result.seconds).toBeLessThan(15);
  });

  test('a wrong case is named; a process that fails after its result still counts', async () => {
    expect(await run(program({ 4: 'wrong' }))).toMatchObject({
      status: 'disagrees',
      note: '1 of 5 operators disagree, first: case 4: y differs.',
    });
    const script = path.join(folder, 'late.mjs');
    const message = JSON.stringify({ kind: 'result', result: { status: 'agrees' } });
    writeFileSync(script, `import { writeSync } from 'node:fs';\nwriteSync(3, '${message}\\n');\nprocess.exit(3);\n`);
    expect(await runPart('perplexity', { script, env: process.env, limitMs: 20_000, request: request() })).toMatchObject({
      status: 'agrees',
      endedWith: 'exit code 3',
    });
  });

  test('a process that ends without a result fails', async () => {
    const script = path.join(folder, 'silent.mjs');
    writeFileSync(script, 'process.exit(7);');
    const result = await runPart('perplexity', { script, env: process.env, limitMs: 20_000, request: request() });
    expect(result).toMatchObject({ status: 'failed', note: 'A process of perplexity ended with exit code 7.' });
  });
});

describe('comparing', () => {
  test('float32 sums in another order pass; operands of 10 bits do not', () => {
    const random = new SeededRandom(1);
    const [rows, inner] = [200, 512];
    const a = Float32Array.from({ length: rows * inner }, () => random.nextNormal());
    const b = Float32Array.from({ length: inner }, () => random.nextNormal());
    const bits = new Uint32Array(1);
    const short = (value: number): number => {
      new Float32Array(bits.buffer)[0] = value;
      bits[0] = ((bits[0] as number) + 0x1000) & 0xffffe000;
      return new Float32Array(bits.buffer)[0] as number;
    };
    const product = (round: (value: number) => number, backwards: boolean): Float32Array =>
      Float32Array.from({ length: rows }, (_, row) => {
        let sum = 0;
        for (let step = 0; step < inner; step += 1) {
          const at = backwards ? inner - 1 - step : step;
          sum = Math.fround(sum + Math.fround(round(a[row * inner + at] as number) * round(b[at] as number)));
        }
        return sum;
      });
    const exact = product((value) => value, false);
    expect(
      relativeError(
        product((value) => value, true),
        exact,
      ),
    ).toBeLessThan(tolerances.cuda / 50);
    expect(relativeError(product(short, false), exact)).toBeGreaterThan(tolerances.cuda);
  });

  test('special values, lengths, types and shapes', () => {
    expect(relativeError([NaN, Infinity, 1], [NaN, Infinity, 1])).toBe(0);
    expect(relativeError([NaN], [1])).toBe(Infinity);
    expect(relativeError([Infinity], [-Infinity])).toBe(Infinity);
    expect(relativeError([1], [1, 2])).toBe(Infinity);
    const whole = (dtype: 'int64' | 'uint8', value: number) =>
      ({ dtype, shape: [1], data: dtype === 'int64' ? BigInt64Array.of(BigInt(value)) : Uint8Array.of(value) }) as const;
    expect(disagreement('y', whole('int64', 6), whole('int64', 5), 1e-4).problem).toBeDefined();
    expect(disagreement('y', whole('uint8', 6), whole('uint8', 5), 1e-4).problem).toBeUndefined();
    expect(disagreement('y', whole('uint8', 7), whole('uint8', 5), 1e-4).problem).toBeDefined();
    expect(disagreement('y', whole('uint8', 7), whole('int64', 7), 1e-4).problem).toBe('y is uint8 [1] instead of int64 [1]');
    expect(disagreement('y', undefined, whole('int64', 7), 1e-4).problem).toBe('there is no output y');
  });

  test('what failed disagrees, what was skipped or ran out of time does not', () => {
    expect(outcomeOf({ devices: { status: 'skipped', seconds: 0, note: 'No.' } })).toEqual({
      outcome: 'nothing ran',
      notes: ['devices: No.'],
    });
    expect(outcomeOf({ operators: { status: 'agrees', seconds: 1 }, gradients: { status: 'timeout', seconds: 1 } }).outcome).toBe('agrees');
    expect(outcomeOf({ operators: { status: 'agrees', seconds: 1 }, training: { status: 'failed', seconds: 1 } }).outcome).toBe(
      'disagrees',
    );
  });

  test('our speed relative to theirs, if both were measured', () => {
    const peer = { status: 'measured', seconds: 1, training: { float: { stepsPerSecond: 4 }, diffq: { stepsPerSecond: 2 } } } as const;
    const training = { status: 'agrees', seconds: 1, methods: { float: { stepsPerSecond: 6 } } } as const;
    expect(withRatios({ peer, training }).peer?.['ourSpeedOverTheirs']).toEqual({
      plainTraining: 1.5,
      diffqTraining: undefined,
      perplexity: undefined,
    });
    const skipped = { peer: { status: 'skipped', seconds: 0 } } as const;
    expect(withRatios(skipped)).toBe(skipped);
  });
});

describe('surroundings', () => {
  test("CUDA's libraries are found next to Python's packages, only in folders that contain some", () => {
    const packages = path.join(folder, 'python3.11', 'site-packages');
    for (const [name, file] of [
      ['cu13', 'libcudart.so.13'],
      ['cudnn', 'libcudnn.so.9'],
      ['empty', 'README'],
    ] as const) {
      mkdirSync(path.join(packages, 'nvidia', name, 'lib'), { recursive: true });
      writeFileSync(path.join(packages, 'nvidia', name, 'lib', file), '');
    }
    const wanted = ['cu13', 'cudnn'].map((name) => path.join(packages, 'nvidia', name, 'lib'));
    const isHere = (found: string) => found.startsWith(folder);
    expect(cudaFolders(undefined, [folder]).filter(isHere)).toEqual(wanted);
    expect(cudaFolders({ program: 'python3', version: '3.11', packages: [packages] }, []).filter(isHere)).toEqual(wanted);
  });

  test('works on a machine without Python', () => {
    expect(findPython({ LOOMWEIGHT_PYTHON: path.join(folder, 'python3') })).toBeUndefined();
  });
});
