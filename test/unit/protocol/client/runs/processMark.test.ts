import { expect, test } from 'vitest';
import { markOf, stateOf } from '../../../../../src/protocol/client/runs/processMark';

test('a process is known by machine, namespace, id and start', () => {
  const mark = markOf(process.pid);
  expect(stateOf(mark)).toBe(process.platform === 'linux' ? 'running' : 'unknown');
  expect(stateOf({ ...mark, machine: `${mark.machine}-other` })).toBe('unknown');
  // Above every process id of Linux.
  expect(stateOf({ ...mark, pid: 4194305 })).toBe('ended');
});

test('the id of another PID namespace says nothing here', () => {
  const mark = markOf(process.pid);
  if (process.platform === 'linux') expect(mark.namespace).toMatch(/^\d+$/);
  expect(stateOf({ ...mark, namespace: '17', pid: 4194305 })).toBe('unknown');
  const { namespace: _, ...earlier } = mark;
  expect(stateOf(earlier)).toBe(stateOf(mark));
});
