import { copyFile, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { runGoldens } from '../../support/goldens/runGoldens';
import { temporaryFolder } from '../../support/fixtures';

const peers = fileURLToPath(new URL('../../golden/peers', import.meta.url));
const folder = temporaryFolder();
let empty = '';

beforeAll(async () => {
  empty = join(folder, 'empty');
  await mkdir(empty);
});

async function run(path: string): Promise<{ readonly counts: Awaited<ReturnType<typeof runGoldens>>; readonly lines: readonly string[] }> {
  const lines: string[] = [];
  const counts = await runGoldens(path, (line) => lines.push(line));
  return { counts, lines };
}

/** A folder with one golden, changed by `change`. */
async function folderWith(name: string, change: (text: string) => string): Promise<string> {
  const target = await mkdtemp(join(folder, 'one-'));
  await writeFile(join(target, name), change(await readFile(join(peers, name), 'utf8')));
  return target;
}

test('every golden of the project passes and none is skipped', async () => {
  const { counts, lines } = await run(peers);
  expect(lines).toEqual([]);
  expect(counts.failed + counts.skipped).toBe(0);
  expect(counts.passed).toBeGreaterThan(40);
});

describe('what must fail', () => {
  const changes: readonly (readonly [string, string, (golden: { outputs: Record<string, unknown>; tolerance?: unknown }) => void])[] = [
    ['a level off by one', 'diffq_uniform__bits3.json', ({ outputs }) => ((outputs['levels'] as { data: number[] }).data[17]! += 1)],
    [
      'a gradient off by a percent',
      'diffq_train_step__bits_gaussian.json',
      ({ outputs }) => ((outputs['grad_logit'] as { data: number[] }).data[5]! *= 1.01),
    ],
    ['a size off', 'diffq_diffq__tied_float16_exclude.json', ({ outputs }) => ((outputs['true_size_mib'] as number) = 0.0094)],
    ['a value that is no number', 'diffq_qat__bits4.json', ({ outputs }) => (outputs['loss'] = null)],
    ['a missing entry', 'diffq_lsq__bits2.json', ({ outputs }) => (outputs['index'] as { data: number[] }).data.pop()],
    ['an output that nobody compares', 'rtn__w4_g32_asym.json', ({ outputs }) => (outputs['another'] = 1)],
    ['a packed word changed', 'diffq_torch_pack__bits3.json', ({ outputs }) => ((outputs['packed'] as { data: number[] }).data[3]! ^= 4)],
    [
      'a packed byte changed',
      'ort_matmulnbits__w4_b32_asym.json',
      ({ outputs }) => ((outputs['packed'] as { data: number[] }).data[0]! ^= 1),
    ],
    ['no tolerance', 'diffq_uniform__bits1.json', (golden) => delete golden.tolerance],
  ];
  test.each(changes)('%s', async (_what, file, change) => {
    const target = await folderWith(file, (text) => {
      const golden = JSON.parse(text) as { outputs: Record<string, unknown> };
      change(golden);
      return JSON.stringify(golden);
    });
    const { counts, lines } = await run(target);
    expect(counts).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(lines[0]).toContain(file);
  });

  test('a file cut in half, and a file that is not a golden', async () => {
    const cut = await folderWith('rtn__w4_g32_asym.json', (text) => text.slice(0, text.length / 2));
    expect((await run(cut)).counts).toEqual({ passed: 0, failed: 1, skipped: 0 });
    const other = await folderWith('rtn__w4_g32_asym.json', () => '[1, 2]');
    expect((await run(other)).counts.failed).toBe(1);
  });

  test('an empty folder, and one that does not exist', async () => {
    expect((await run(empty)).counts).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect((await run(join(folder, 'nowhere'))).counts.failed).toBe(1);
  });
});

test('a method that is not implemented is skipped and named', async () => {
  const target = await folderWith('rtn__w4_g32_asym.json', (text) => text.replace('"method": "rtn"', '"method": "not_there_yet"'));
  await copyFile(join(peers, 'diffq_uniform__bits1.json'), join(target, 'diffq_uniform__bits1.json'));
  const { counts, lines } = await run(target);
  expect(counts).toEqual({ passed: 1, failed: 0, skipped: 1 });
  expect(lines).toEqual(['skipped rtn__w4_g32_asym.json: the method is not built']);
});
