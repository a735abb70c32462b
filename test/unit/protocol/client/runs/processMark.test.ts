import { expect, test } from 'vitest';
import { markOf, stateOf } from '../../../../../src/protocol/client/runs/processMark';

test('a process is known by machine, namespace, id and start', async () => {
  const mark = await markOf(process.pid);
  expect(await stateOf(mark)).toBe(process.platform === 'linux' ? 'running' : 'unknown');
  expect(await stateOf({ ...mark, machine: `${mark.machine}-other` })).toBe('unknown');
  // Above every process id of Linux.
  expect(await stateOf({ ...mark, pid: 4194305 })).toBe('ended');
});

test('the id of another PID namespace says nothing here', async () => {
  const mark = await markOf(process.pid);
  if (process.platform === 'linux') expect(mark.namespace).toMatch(/^\d+$/);
  expect(await stateOf({ ...mark, namespace: '17', pid: 4194305 })).toBe('unknown');
  const { namespace: _, ...earlier } = mark;
  expect(await stateOf(earlier)).toBe(await stateOf(mark));
});
