import { describe, expect, test, vi } from 'vitest';
import type { TensorSummary } from '../../src/protocol/model';
import type { ModelPageEvents, ModelPageRequests, ModelPageView } from '../../src/protocol/panels/modelPage';
import type { ModelPageState } from '../../webview/panels/model/modelPage';
import { ModelPage } from '../../webview/panels/model/modelPage';
import { connectPage } from '../../webview/host/page';
import { FakeHost } from './fakeHost';

const tensor = (index: number, change: Partial<TensorSummary> = {}): TensorSummary => ({
  name: `layers.${index}.weight`,
  dtype: 'float16',
  shape: [4, index + 1],
  bytes: 8 * (index + 1),
  role: 'linear',
  block: `layers.${index}`,
  file: '',
  ...change,
});

const view = (tensors: readonly TensorSummary[], change: Partial<ModelPageView> = {}): ModelPageView => ({
  key: '0123',
  name: 'small',
  path: '/models/small',
  state: 'ready',
  version: 1,
  format: 'safetensors',
  architecture: 'unknown',
  parameters: 100,
  bytes: 200,
  dtypes: ['float16'],
  metadata: { author: '<b>someone</b>' },
  diagnostics: [],
  tensorCount: tensors.length,
  tensors: tensors.slice(0, 500),
  ...change,
});

const statistics = {
  name: 'layers.1.weight',
  dtype: 'float16',
  shape: [4, 2],
  count: 8,
  minimum: -1.5,
  maximum: 2,
  mean: 0.25,
  standardDeviation: 1,
  zeros: 2,
  notFinite: 0,
  histogram: { minimum: -1.5, maximum: 2, counts: [1, 2, 5] },
};

const picture = {
  rows: 4,
  columns: 2,
  region: { row: 0, column: 0, rows: 4, columns: 2 },
  width: 2,
  height: 4,
  low: -1.5,
  high: 2,
  levels: Uint8Array.from([1, 255, 128, 0, 1, 1, 1, 1]),
};

async function open(
  first: ModelPageView,
  all: readonly TensorSummary[],
  more: { select?: string; state?: unknown } = {},
): Promise<FakeHost> {
  const host = new FakeHost(
    {
      ready: () => ({ view: first, ...(more.select !== undefined && { select: more.select }) }),
      tensors: ({ offset, count }: { offset: number; count: number }) => all.slice(offset, offset + count),
      statistics: () => statistics,
      picture: () => picture,
      copy: () => undefined,
    },
    more.state,
  );
  await new ModelPage(connectPage<ModelPageRequests, ModelPageEvents, ModelPageState>(1)).start();
  await host.settle();
  return host;
}

const rowNames = (host: FakeHost) => host.all('[data-testid=tensor-table] .table-row').map((row) => row.dataset['tensor']);

describe('the page of a model', () => {
  test('keeps few rows in the page however many tensors there are, and fetches the others in pieces', async () => {
    const many = Array.from({ length: 100_000 }, (_, index) => tensor(index));
    const host = await open(view(many), many);
    expect(host.find('tensor-table').getAttribute('aria-rowcount')).toBe('100001');
    expect(host.find('row-count').textContent).toBe('100,000 tensors');
    expect(rowNames(host).length).toBeLessThan(60);
    expect(host.requests.filter(({ method }) => method === 'tensors').length).toBe(5);
  });

  test('filters by every word and sorts by a clicked column', async () => {
    const tensors = [tensor(0), tensor(1, { dtype: 'float32' }), tensor(2), tensor(10)];
    const host = await open(view(tensors), tensors);
    const size = host.all('[data-column=bytes] button')[0];
    size?.click();
    size?.click();
    expect(rowNames(host)).toEqual(['layers.10.weight', 'layers.2.weight', 'layers.1.weight', 'layers.0.weight']);
    const field = host.find('filter') as HTMLElement & { value: string };
    field.value = 'layers.1 float16';
    field.dispatchEvent(new host.window.Event('input'));
    await vi.waitFor(() => expect(rowNames(host)).toEqual(['layers.10.weight']));
    expect(host.find('row-count').textContent).toBe('1 of 4');
  });

  test('shows the statistics, the histogram as text and the values as a table of the selected tensor', async () => {
    const tensors = [tensor(0), tensor(1)];
    const host = await open(view(tensors), tensors);
    host.all('[data-tensor="layers.1.weight"]')[0]?.click();
    await host.settle();
    const stat = (id: string) => host.all(`[data-testid=stats] [data-stat=${id}]`)[0]?.textContent;
    expect([stat('minimum'), stat('maximum'), stat('mean'), stat('zeros')]).toEqual(['-1.5', '2', '0.25', '2 (25 %)']);
    expect(host.find('histogram').getAttribute('aria-label')).toContain('8 values from -1.5 to 2');
    expect(host.find('heatmap').getAttribute('aria-label')).toContain('Heatmap of the values, 4 × 2, from -1.5 to 2');
    expect(host.all('.picture td').some((cell) => cell.textContent === 'not finite')).toBe(true);
    host.find('copy-shape').click();
    expect(host.requests.at(-1)).toMatchObject({ method: 'copy', value: { text: '[4, 2]' } });
  });

  test('restores filter, order and selection', async () => {
    const tensors = [tensor(0), tensor(1)];
    const kept: ModelPageState = {
      filter: 'layers.1',
      order: { column: 'name', descending: true },
      tab: 'tensors',
      selected: 'layers.1.weight',
    };
    const host = await open(view(tensors), tensors, { state: { version: 1, state: kept } });
    expect(rowNames(host)).toEqual(['layers.1.weight']);
    expect(host.find('tensor-name').textContent).toBe('layers.1.weight');
  });

  test('selects the requested tensor, also beyond the first rows', async () => {
    const many = Array.from({ length: 2000 }, (_, index) => tensor(index));
    const host = await open(view(many), many, { select: 'layers.1700.weight' });
    expect(host.find('tensor-name').textContent).toBe('layers.1700.weight');
  });

  test('gives a reason instead of values in an untrusted workspace and requests none', async () => {
    const tensors = [tensor(0)];
    const host = await open(view(tensors, { valuesRefused: 'Values are read only in trusted workspaces.' }), tensors, {
      select: 'layers.0.weight',
    });
    expect(host.find('values-refused').textContent).toContain('only in trusted workspaces');
    expect(host.requests.some(({ method }) => method === 'statistics' || method === 'picture')).toBe(false);
  });

  test('a malformed file is a readable page with the offset', async () => {
    const failed = view([], {
      state: 'failed',
      notice: 'The header is cut off.',
      advice: 'Download it again.',
      diagnostics: [{ severity: 'error', code: 'malformed-file', message: 'The header is cut off.', file: 'x', offset: 1234 }],
    });
    const host = await open(failed, []);
    expect(host.find('notice').textContent).toBe('The header is cut off.Download it again.');
    expect(host.find('diagnostics').textContent).toContain('1,234');
  });

  test('names and metadata are text, never markup', async () => {
    const tensors = [tensor(0, { name: '<img src=x onerror=alert(1)>' })];
    const host = await open(view(tensors), tensors);
    expect(host.all('img, b')).toEqual([]);
    expect(rowNames(host)).toEqual(['<img src=x onerror=alert(1)>']);
    expect(host.find('metadata').textContent).toContain('<b>someone</b>');
  });

  test('a changed file replaces the rows, a deleted one keeps them under a notice', async () => {
    const tensors = [tensor(0), tensor(1)];
    const host = await open(view(tensors), tensors);
    host.send('changed', view([tensor(7)], { version: 2, notice: 'The file changed on disk and was reloaded.' }));
    await host.settle();
    expect(rowNames(host)).toEqual(['layers.7.weight']);
    host.send('changed', view([tensor(7)], { version: 2, state: 'deleted', notice: 'This file has been deleted.' }));
    await host.settle();
    expect(rowNames(host)).toEqual(['layers.7.weight']);
    expect(host.find('notice').textContent).toContain('deleted');
  });

  test('an error reading values is shown in the inspector, and the page keeps working', async () => {
    const tensors = [tensor(0), tensor(1)];
    const host = new FakeHost({
      ready: () => ({ view: view(tensors) }),
      statistics: () => {
        throw new Error('q4_k is listed but not decoded.');
      },
      picture: () => {
        throw new Error('q4_k is listed but not decoded.');
      },
    });
    await new ModelPage(connectPage<ModelPageRequests, ModelPageEvents, ModelPageState>(1)).start();
    host.all('[data-tensor="layers.1.weight"]')[0]?.click();
    await host.settle();
    expect(host.find('values-problem').textContent).toBe('q4_k is listed but not decoded.');
  });
});
