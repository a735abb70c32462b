import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PageSubjects } from '../../../src/extension/panels/pageSubjects';
import { bitAllocationShapes } from '../../../src/protocol/panels/bitAllocation';
import { jobShapes } from '../../../src/protocol/panels/job';
import { modelPageShapes } from '../../../src/protocol/panels/modelPage';
import { pageMessage } from '../../../src/protocol/panels/page';
import { reportPageShapes } from '../../../src/protocol/panels/reportPage';
import { propertySeed } from '../../support/propertySeed';

describe('what a page sends', () => {
  test('is one of two messages', () => {
    expect(pageMessage({ type: 'request', id: 1, method: 'ready', value: undefined, more: 1 })).toEqual({
      type: 'request',
      id: 1,
      method: 'ready',
    });
    expect(pageMessage({ type: 'violation', detail: 'x' })).toEqual({ type: 'violation', detail: 'x' });
    for (const wrong of [undefined, null, 1, 'ready', [], {}, { type: 'request', id: '1', method: 'ready' }, { type: 'violation' }])
      expect(pageMessage(wrong)).toBeUndefined();
  });

  test('has the shape of its request', () => {
    const whole = { row: 0, rows: 4, column: 0, columns: 4 };
    expect(modelPageShapes.picture({ tensor: 'w', width: 640.5, height: 320 })).toBe(true);
    expect(modelPageShapes.picture({ tensor: 'w', region: whole, width: 640, height: 320 })).toBe(true);
    expect(modelPageShapes.tensors({ offset: 0, count: 500 })).toBe(true);
    expect(jobShapes.act({ action: 'cancel' })).toBe(true);
    expect(reportPageShapes.act({ action: 'refresh' })).toBe(true);
    expect(bitAllocationShapes.compress({ budget: 3.5, pins: { w: 4 } })).toBe(true);
    expect(bitAllocationShapes.compare({})).toBe(true);
  });

  test('names no file, no other member and no unknown action', () => {
    const picture = { tensor: 'w', width: 640, height: 320 };
    for (const value of [
      { ...picture, model: '/etc/passwd' },
      { ...picture, width: NaN },
      { ...picture, height: Infinity },
      { ...picture, region: { row: -1, rows: 1, column: 0, columns: 1 } },
      { ...picture, tensor: ['w'] },
      [],
    ])
      expect(modelPageShapes.picture(value)).toBe(false);
    expect(modelPageShapes.statistics({ tensor: 'w', model: '/etc/passwd' })).toBe(false);
    expect(modelPageShapes.compress('/etc/passwd')).toBe(false);
    for (const action of ['__proto__', 'constructor', '', 3]) {
      expect(jobShapes.act({ action })).toBe(false);
      expect(reportPageShapes.act({ action })).toBe(false);
    }
    expect(bitAllocationShapes.saveRecipe({ budget: 3, pins: { w: '4' } })).toBe(false);
    expect(bitAllocationShapes.compare({ key: 'x'.repeat(1000) })).toBe(false);
  });

  test('is judged without an exception, whatever it is', () => {
    const shapes = [modelPageShapes, bitAllocationShapes, jobShapes, reportPageShapes].flatMap((of) => Object.values(of));
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), (value) => {
        pageMessage(value);
        for (const shape of shapes) shape(value);
      }),
      { seed: propertySeed, numRuns: 2000 },
    );
  });
});

describe('the subject of a page', () => {
  test('is found by the key that was given out, also by the next window, and by nothing else', () => {
    let kept: Readonly<Record<string, string>> = {};
    const storage = { get: () => kept, set: (subjects: Readonly<Record<string, string>>) => void (kept = subjects) };
    const key = new PageSubjects(storage).keyOf('/somewhere/model');
    expect(key).not.toContain('model');
    const next = new PageSubjects(storage);
    expect(next.subjectOf(key)).toBe('/somewhere/model');
    expect(next.keyOf('/somewhere/model')).toBe(key);
    for (const other of ['/etc/passwd', 'file:/etc/passwd', '__proto__', undefined, null, 3, { key }])
      expect(next.subjectOf(other)).toBeUndefined();
  });

  test('is forgotten when there are too many', () => {
    const subjects = new PageSubjects({ get: () => ({}), set: () => undefined });
    const first = subjects.keyOf('first');
    for (let index = 0; index < 300; index += 1) subjects.keyOf(`subject ${index}`);
    expect(subjects.subjectOf(first)).toBeUndefined();
    expect(subjects.subjectOf(subjects.keyOf('subject 299'))).toBe('subject 299');
  });
});
