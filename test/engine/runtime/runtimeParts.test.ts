import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Graph } from '../../../src/engine/graph/graph';
import { hasComputingNeighbour } from '../../../src/engine/runtime/neighbours';
import { SessionCache } from '../../../src/engine/runtime/sessionCache';
import { chooseThreads } from '../../../src/engine/runtime/threads';
import type { Session } from '../../../src/engine/runtime/types';

test.each([
  [undefined, 4, 4],
  [2, 4, 2],
  [9, 4, 4],
  [0, 4, 4],
  [Number.NaN, 2, 2],
])('%s threads requested on %s cores gives %s', (asked, cores, expected) => expect(chooseThreads(asked, cores)).toBe(expected));

test('another process counts while it runs; the file of a dead one is removed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-neighbours-'));
  try {
    expect(hasComputingNeighbour(join(folder, 'missing'))).toBe(false);
    writeFileSync(join(folder, String(process.pid)), '');
    writeFileSync(join(folder, '4194303'), '');
    expect(hasComputingNeighbour(folder)).toBe(false);
    expect(existsSync(join(folder, '4194303'))).toBe(false);
    writeFileSync(join(folder, String(process.ppid)), '');
    expect(hasComputingNeighbour(folder)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

const graph = (): Graph => ({ name: 'g', inputs: [], outputs: [], nodes: [], constants: new Map(), opsets: {} });

function sessions(): { readonly create: () => Promise<Session>; readonly counts: { created: number; released: number } } {
  const counts = { created: 0, released: 0 };
  return {
    counts,
    create: () => {
      counts.created += 1;
      return Promise.resolve({
        inputNames: [],
        outputNames: [],
        run: () => Promise.resolve({}),
        release: () => {
          counts.released += 1;
          return Promise.resolve();
        },
      });
    },
  };
}

test('the same graph and options share a session, others do not', async () => {
  const { create, counts } = sessions();
  const cache = new SessionCache();
  const one = graph();
  await Promise.all([cache.get(one, 'a', create), cache.get(one, 'a', create)]);
  expect(counts.created).toBe(1);
  await cache.get(one, 'b', create);
  await cache.get(graph(), 'a', create);
  expect(counts.created).toBe(3);
  await cache.dispose();
  expect(counts.released).toBe(3);
});

test('idle sessions beyond the limit are released, oldest first; used ones stay', async () => {
  const { create, counts } = sessions();
  const cache = new SessionCache({ sessions: 1, bytes: 1e9 });
  const graphs = [graph(), graph(), graph()];
  const held = await Promise.all(graphs.map((each) => cache.get(each, '', create)));
  expect(counts.released).toBe(0);
  await held[0]?.release();
  await held[0]?.release(); // twice is once
  await held[1]?.release();
  expect(counts.released).toBe(1);
  await cache.get(graphs[1] as Graph, '', create);
  expect(counts.created).toBe(3);
});

test('a failed creation is not kept', async () => {
  const { create, counts } = sessions();
  const cache = new SessionCache();
  const one = graph();
  await expect(cache.get(one, '', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await cache.get(one, '', create);
  expect(counts.created).toBe(1);
});
