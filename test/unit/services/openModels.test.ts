import { mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TensorContainer } from '../../../src/engine/formats/container';
import { OpenModels } from '../../../src/engine/services/openModels';
import { LoomweightError } from '../../../src/protocol/errors';
import { writeInto } from '../../support/formatFiles';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-open-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (path: string, text = 'x') => writeInto(folder, path, text);

describe('open models', () => {
  function opener(): { readonly models: OpenModels; readonly counts: { opened: number; closed: number } } {
    const counts = { opened: 0, closed: 0 };
    const models = new OpenModels((path) => {
      counts.opened += 1;
      if (path.endsWith('bad')) return Promise.reject(new LoomweightError('malformed-file', 'bad'));
      return Promise.resolve({
        path,
        close: () => {
          counts.closed += 1;
          return Promise.resolve();
        },
      } as unknown as TensorContainer);
    });
    return { models, counts };
  }
  const use = (models: OpenModels, path: string, limited = false) =>
    models.use(path, { limited }, (container) => Promise.resolve(container.path));

  test('are shared until the file changes', async () => {
    const { models, counts } = opener();
    const path = write('m');
    expect(await use(models, path)).toBe(path);
    await use(models, path);
    expect(counts).toEqual({ opened: 1, closed: 0 });
    await use(models, path, true);
    expect(counts.opened).toBe(2);
    utimesSync(path, 1, 1);
    await use(models, path);
    expect(counts).toEqual({ opened: 3, closed: 1 });
    await models.dispose();
    expect(counts.closed).toBe(3);
  });

  test('stay open while used, and are reopened after a failure', async () => {
    const { models, counts } = opener();
    const path = write('m');
    await models.use(path, {}, async () => {
      utimesSync(path, 1, 1);
      await use(models, path);
      expect(counts.closed).toBe(0);
    });
    expect(counts.closed).toBe(1);
    const bad = write('bad');
    await expect(use(models, bad)).rejects.toThrow('bad');
    await expect(use(models, bad)).rejects.toThrow('bad');
    expect(counts.opened).toBe(4);
  });
});
