import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { temporaryName, temporaryWriter } from '../../../../src/protocol/client/temporaryNames';

test('temporary names identify target, writer and machine', () => {
  const name = temporaryName('a.b', '0f');
  expect(temporaryWriter(name)).toEqual({ target: 'a.b', pid: process.pid, isThisMachine: true });
  expect(temporaryWriter('.a.b.loomweight-elsewhere-12-0f.tmp')).toMatchObject({ isThisMachine: hostname() === 'elsewhere' });
  expect(temporaryWriter('out')).toBeUndefined();
});
