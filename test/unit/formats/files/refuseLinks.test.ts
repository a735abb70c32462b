import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { refuseLinks } from '../../../../src/engine/formats/files/refuseLinks';
import { test } from '../../../support/fixtures';
import { failureOf } from '../../../support/formatFiles';

test('an output that is a link is refused by naming where it leads, whatever is there', async ({ folder }) => {
  mkdirSync(join(folder, 'empty'));
  symlinkSync('empty', join(folder, 'to-empty'));
  symlinkSync(join(folder, 'missing'), join(folder, 'to-missing'));
  symlinkSync('circle', join(folder, 'circle'));
  for (const [link, target] of [
    ['to-empty', 'empty'],
    ['to-missing', 'missing'],
    ['circle', 'circle'],
  ] as const) {
    const failure = await failureOf(() => refuseLinks([join(folder, 'free'), join(folder, link)]));
    expect(failure).toMatchObject({ code: 'invalid-argument', details: { target: join(folder, target) } });
  }
  await refuseLinks([join(folder, 'free'), join(folder, 'empty'), join(folder, 'to-empty', 'below')]);
});
