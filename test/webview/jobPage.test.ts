import { expect, test } from 'vitest';
import type { TrainingProgress } from '../../src/protocol/training';
import type { JobEvents, JobRequests, JobView } from '../../src/protocol/panels/job';
import { connectPage } from '../../webview/host/page';
import type { JobPageState } from '../../webview/panels/job/jobPage';
import { JobPage } from '../../webview/panels/job/jobPage';
import { FakeHost } from './fakeHost';

const training: TrainingProgress = {
  step: 100,
  steps: 400,
  stepsPerSecond: 12.5,
  mode: 'loop',
  curve: [10, 50, 100].map((step) => ({ step, loss: 2 / step, metrics: { bits: 8 - step / 25, size: 1 / step } })),
  evaluations: [
    { step: 50, loss: 0.3, value: 0.91, metric: 'accuracy', bitsPerWeight: 6 },
    { step: 100, loss: 0.2, value: 0.95, metric: 'accuracy', bitsPerWeight: 4.2 },
  ],
  bestStep: 100,
};

const view = (change: Partial<JobView>): JobView => ({
  job: 'job-1',
  title: 'Learn bits of digits-mlp.onnx',
  subtitle: 'diffq, target 3 bits per weight, 400 steps',
  status: 'running',
  statusText: 'Training 100 of 400 steps, 24 s left',
  fraction: 0.25,
  elapsedSeconds: 8,
  remainingSeconds: 24,
  rssBytes: 3 * 1024 ** 2,
  training,
  log: [{ seconds: 3, level: 'info', text: 'Training' }],
  actions: [{ id: 'cancel', label: 'Cancel' }],
  ...change,
});

async function open(first: JobView): Promise<FakeHost> {
  const host = new FakeHost({ ready: () => first, act: () => undefined });
  await new JobPage(connectPage<JobRequests, JobEvents, JobPageState>(1)).start();
  await host.settle();
  return host;
}

test('a learning job: numbers, curves with words and tables, and Cancel', async () => {
  const host = await open(view({}));
  expect(['step', 'speed', 'bits', 'elapsed', 'remaining', 'memory'].map((id) => host.find(id).textContent)).toEqual([
    '100',
    '12.5',
    '4.2',
    '8.0 s',
    '24 s',
    '3.00 MiB',
  ]);
  expect(host.find('loss-chart').getAttribute('aria-label')).toBe('Loss over steps. From 0.2 at step 10 to 0.02 at step 100.');
  const details = host.find('measure-chart-table') as HTMLDetailsElement;
  details.open = true;
  details.dispatchEvent(new host.window.Event('toggle'));
  expect([...details.querySelectorAll('tbody tr')].map((row) => row.textContent)).toEqual(['500.910.36', '1000.950.24.2']);
  host.find('action-cancel').click();
  expect(host.requests.at(-1)).toMatchObject({ method: 'act', value: { action: 'cancel' } });
  expect(host.state).toEqual({ version: 1, state: { job: 'job-1' } });
});

test('snapshots update the numbers but not the buttons, so the focus is kept', async () => {
  const host = await open(view({}));
  const button = host.find('action-cancel');
  host.send('changed', view({ training: { ...training, step: 101 } }));
  expect(host.find('step').textContent).toBe('101');
  expect(host.find('action-cancel')).toBe(button);
});

test('a job that does not train shows progress and messages', async () => {
  const { training: _training, ...plain } = view({
    title: 'Evaluate loom-base',
    log: [
      { seconds: 0, level: 'info', text: 'Reading' },
      { seconds: 65, level: 'warning', text: 'The text is short.' },
    ],
  });
  const host = await open(plain);
  expect(host.find('curves').hidden).toBe(true);
  expect(host.all('.log li').map((line) => line.textContent)).toEqual(['0 sReading', '1 min 5 swarning: The text is short.']);
  expect(host.all('[role=progressbar]')[0]?.getAttribute('aria-valuenow')).toBe('25');
});

test('a failed job says why, and a text with markup stays text', async () => {
  const host = await open(view({ status: 'failed', statusText: 'The loss is not a number at step 7 <b>.', actions: [] }));
  expect(host.find('status').textContent).toBe('Failed');
  expect(host.find('status-text').textContent).toBe('The loss is not a number at step 7 <b>.');
  expect(host.all('[role=progressbar]')).toHaveLength(0);
});
