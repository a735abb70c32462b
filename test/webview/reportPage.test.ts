import { expect, test } from 'vitest';
import type { ReportPageEvents, ReportPageRequests, ReportPageView } from '../../src/protocol/panels/reportPage';
import { connectPage } from '../../webview/host/page';
import { ReportPage } from '../../webview/panels/report/reportPage';
import { FakeHost } from './fakeHost';

const view: ReportPageView = {
  key: 'job:1',
  title: 'small',
  subtitle: 'Evaluated on eval.txt',
  verdict: { state: 'passed', text: 'Verified' },
  figures: [{ label: 'Perplexity', value: '97.49', note: 'lower is better' }],
  sections: [
    { kind: 'checks', heading: 'Checks', items: [{ state: 'failed', title: 'Driver', text: 'none', advice: 'Install it.' }] },
    {
      kind: 'table',
      heading: 'Tensors',
      columns: [
        { title: 'Tensor', align: 'left' },
        { title: 'Error', align: 'right' },
      ],
      rows: [
        [{ text: 'a' }, { text: '0.02', order: 0.02 }],
        [{ text: 'b' }, { text: '1e-5', order: 1e-5 }],
      ],
    },
  ],
  actions: [{ id: 'revealOutput', label: 'Reveal Output' }],
};

test('draws figures, checks and tables, and hands its buttons to the host', async () => {
  const host = new FakeHost({ ready: () => view, act: () => undefined });
  await new ReportPage(connectPage<ReportPageRequests, ReportPageEvents, { readonly key?: string }>(1)).start();
  await host.settle();
  expect(host.all('[data-testid=figure]')[0]?.textContent).toBe('Perplexity97.49lower is better');
  expect(host.all('.checks li')[0]?.textContent).toBe('✗DrivernoneInstall it.');
  host.all('[data-testid=report-table] th button')[1]?.click();
  expect(host.all('[data-testid=report-table] tbody th').map((cell) => cell.textContent)).toEqual(['b', 'a']);
  host.find('action-revealOutput').click();
  expect(host.requests.at(-1)).toMatchObject({ method: 'act', value: { action: 'revealOutput' } });
  expect(host.state).toEqual({ version: 1, state: { key: 'job:1' } });
});

test('a report that cannot be shown gives the reason', async () => {
  const host = new FakeHost({
    ready: () => {
      throw new Error('The engine process ended.');
    },
  });
  await new ReportPage(connectPage<ReportPageRequests, ReportPageEvents, { readonly key?: string }>(1)).start();
  expect(host.find('notice').textContent).toBe('The engine process ended.');
});
