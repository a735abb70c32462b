import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diskOf, hostMemory } from '../../../src/engine/services/freeSpace';
import { writeInto } from '../../support/formatFiles';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-space-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (path: string, text = 'x') => writeInto(folder, path, text);

describe('free space', () => {
  test('is what Linux reports as available, limited by the control group', async () => {
    write('proc/meminfo', 'MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n');
    expect(await hostMemory(folder)).toEqual({ totalBytes: 16000000 * 1024, availableBytes: 8000000 * 1024 });
    write('sys/fs/cgroup/memory.max', 'max\n');
    expect((await hostMemory(folder)).totalBytes).toBe(16000000 * 1024);
    write('sys/fs/cgroup/memory.max', '2000000000\n');
    write('sys/fs/cgroup/memory.current', '1500000000\n');
    write('sys/fs/cgroup/memory.stat', 'anon 5\ninactive_file 100000000\n');
    expect(await hostMemory(folder)).toEqual({ totalBytes: 2e9, availableBytes: 6e8 });
  });

  test('a path that does not exist yet is on the disk of its nearest folder', async () => {
    const disk = await diskOf(join(folder, 'not', 'there', 'yet'));
    expect(disk?.freeBytes).toBeGreaterThan(0);
    expect(disk?.device).toBe(statSync(folder).dev);
  });
});
