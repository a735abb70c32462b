import { describe, expect, test } from 'vitest';
import { ProgressReporter } from '../../../src/engine/services/progressReporter';
import type { JobProgress } from '../../../src/protocol/jobs';

describe('progress', () => {
  test('sends at most ten updates per second, the latest ones, and always the last', () => {
    let time = 0;
    const sent: JobProgress[] = [];
    const reporter = new ProgressReporter(
      (progress) => sent.push(progress),
      () => time,
    );
    for (let done = 0; done <= 100; done += 1) {
      reporter.report({ phase: 'Rounding', done, total: 100, unit: 'tensors' });
      time += 10;
    }
    expect(sent.map(({ done }) => done)).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    reporter.report({ phase: 'Writing', done: 1, unit: 'files' });
    reporter.report({ phase: 'Writing', done: 2, unit: 'files' });
    reporter.flush();
    reporter.flush();
    expect(sent.slice(11).map(({ done }) => done)).toEqual([2]);
  });

  test('estimates the time left of the phase, from its own speed', () => {
    let time = 0;
    const sent: JobProgress[] = [];
    const reporter = new ProgressReporter(
      (progress) => sent.push(progress),
      () => time,
    );
    reporter.report({ phase: 'Reading', done: 0, total: 2, unit: 'files' });
    time = 9000;
    reporter.report({ phase: 'Rounding', done: 20, total: 100, unit: 'tensors' });
    time = 11_000;
    reporter.report({ phase: 'Rounding', done: 40, total: 100, unit: 'tensors' });
    expect(sent.at(-1)).toMatchObject({ elapsedSeconds: 11, remainingSeconds: 6 });
    expect(sent[0]).not.toHaveProperty('remainingSeconds');
    expect(sent[0]?.rssBytes).toBeGreaterThan(1e6);
  });
});
