import { expect, test } from 'vitest';
import { nativeAbort } from '../../../../src/protocol/client/nativeAbort';
import { LoomweightError, exitCodes } from '../../../../src/protocol/errors';
import type { JobSpec } from '../../../../src/protocol/jobs';

const spec = { kind: 'evaluate', model: '/models/m.onnx' } as unknown as JobSpec;
const crash = (details: Readonly<Record<string, unknown>>) => new LoomweightError('engine-crashed', 'ended', { output: [], ...details });

test.each(['SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGBUS', 'SIGABRT'])('%s of native code is about the model', (signal) => {
  const error = nativeAbort(crash({ signal }), spec);
  expect(exitCodes[error?.code ?? 'internal']).toBe(3);
  expect(error?.message).toMatch(/^\/models\/m\.onnx cannot be run here: .*SIG/);
});

test('a heap that is full is a lack of memory', () => {
  const output = ['FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory'];
  expect(nativeAbort(crash({ signal: 'SIGABRT', output }), spec)?.code).toBe('insufficient-memory');
});

test('what a recipe or a training keeps is not denied', () => {
  const output = ['FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory'];
  for (const details of [{ signal: 'SIGABRT', output }, { signal: 'SIGFPE' }]) {
    const message = nativeAbort(crash(details), { kind: 'recipe', recipe: '/r' } as unknown as JobSpec)?.message;
    expect(message).toContain('Nothing unfinished is kept, except the last checkpoint of a training.');
    expect(message).not.toMatch(/nothing was written/i);
  }
});

test('every other end stays what it is', () => {
  for (const details of [{ signal: 'SIGKILL' }, { signal: 'SIGTERM' }, { exitCode: 1 }, { signal: 'toString' }])
    expect(nativeAbort(crash(details), spec)).toBeUndefined();
  expect(nativeAbort(new LoomweightError('cancelled', 'x', { signal: 'SIGFPE' }), spec)).toBeUndefined();
  expect(nativeAbort(new Error('x'), spec)).toBeUndefined();
});

test('comparisons name both models', () => {
  const both = { kind: 'compare', first: '/a', second: '/b' } as unknown as JobSpec;
  expect(nativeAbort(crash({ signal: 'SIGSEGV' }), both)?.message).toContain('/a and /b');
});
