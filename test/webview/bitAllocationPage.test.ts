import { expect, test } from 'vitest';
import type { BitAllocationEvents, BitAllocationRequests, BitAllocationView } from '../../src/protocol/panels/bitAllocation';
import { shortName } from '../../webview/charts/layerChart';
import { connectPage } from '../../webview/host/page';
import type { BitAllocationState } from '../../webview/panels/bitAllocation/bitAllocationPage';
import { BitAllocationPage } from '../../webview/panels/bitAllocation/bitAllocationPage';
import { commonEnds } from '../../webview/panels/bitAllocation/commonEnds';
import { layer, view } from './allocationSamples';
import { FakeHost } from './fakeHost';

async function open(first: BitAllocationView): Promise<FakeHost> {
  const host = new FakeHost({
    ready: () => first,
    openReport: () => undefined,
    revealOutput: () => undefined,
    showCurves: () => undefined,
  });
  await new BitAllocationPage(connectPage<BitAllocationRequests, BitAllocationEvents, BitAllocationState>(2)).start();
  await host.settle();
  return host;
}

const rows = (host: FakeHost) => host.all('[data-testid=layer-table] .table-row');

test('fills while the job runs and keeps the job for a restored panel', async () => {
  const host = await open(view({}));
  expect(host.find('status').textContent).toBe('Running');
  expect(rows(host)).toHaveLength(0);
  host.send('changed', view({ layers: [layer(0), layer(1)], bytesBefore: 4000, bytesAfter: 1250, bitsPerWeight: 5, fraction: 0.5 }));
  expect(rows(host)).toHaveLength(2);
  expect(host.find('bits-chart').getAttribute('aria-label')).toBe(
    'Bits per weight code of 2 layers, from 4 to 8. The list of layers has the same numbers.',
  );
  expect(host.state).toEqual({ version: 2, state: { tab: 'layers', job: 'job-1' } });
});

test('a finished job shows sizes, notes and what to do next', async () => {
  const host = await open(
    view({ status: 'done', layers: [layer(0)], bytesBefore: 7905752, bytesAfter: 2048, bitsPerWeight: 4.5, notes: ['Verified.'] }),
  );
  expect(host.find('size-before').textContent).toBe('7.54 MiB');
  expect(host.find('size-after').textContent).toBe('2.00 KiB');
  expect(host.find('notes').textContent).toContain('Verified.');
  host.find('open-report').click();
  expect(host.requests.at(-1)?.method).toBe('openReport');
});

test('widths inside a layer are segments of its bar, with a text alternative', async () => {
  const mixed = { ...layer(0), bits: 3.25, histogram: { bits: [3, 4], weights: [750, 250] } };
  const host = await open(view({ layers: [mixed, layer(1)] }));
  const bars = host.all('.width-bar');
  expect(bars[0]?.getAttribute('aria-label')).toBe('bits: 3: 75 %, 4: 25 %');
  expect([...(bars[0]?.children ?? [])].map((segment) => (segment as HTMLElement).style.width)).toEqual(['75%', '25%']);
  // The bar is as long as the mean width, on a scale to eight bits.
  expect(bars[0]?.style.width).toBe(`${(100 * 3.25) / 8}%`);
  expect(host.all('.width-legend li').map((item) => item.textContent)).toEqual(['3 bits', '4 bits', '8 bits']);
});

test('a result without a budget says how to get a slider, and has none', async () => {
  const host = await open(view({ status: 'done', layers: [layer(0)], allocationHint: 'Run Compress Model with a budget.' }));
  expect(host.find('budget').hidden).toBe(true);
  expect(host.find('allocation-hint').textContent).toBe('Run Compress Model with a budget.');
  expect(host.all('[data-testid=layer-table] select')).toHaveLength(0);
});

test('a learning job leads to its curves', async () => {
  const host = await open(view({ curves: true }));
  host.find('show-curves').click();
  expect(host.requests.at(-1)?.method).toBe('showCurves');
});

test("the list sorts by a clicked column, and a third click restores the model's order", async () => {
  const host = await open(view({ status: 'done', layers: [layer(0), layer(2), layer(1)] }));
  const click = () =>
    host
      .all('[data-testid=layer-table] .table-sort')
      .find((head) => head.textContent === 'Error')
      ?.click();
  const names = () => rows(host).map((row) => /layers\.(\d)/.exec(row.dataset['tensor'] ?? '')?.[1]);
  click();
  expect(names()).toEqual(['2', '1', '0']);
  click();
  expect(names()).toEqual(['0', '1', '2']);
  click();
  expect(names()).toEqual(['0', '2', '1']);
});

test('only the visible rows are created, however many layers there are', async () => {
  const host = await open(view({ layers: Array.from({ length: 20_000 }, (_, index) => layer(index)) }));
  expect(rows(host).length).toBeLessThan(60);
  expect(host.find('layer-table').getAttribute('aria-rowcount')).toBe('20001');
});

test.each([
  ['model.layers.3.self_attn.q_proj.weight', '3 q_proj'],
  ['lm_head.weight', 'lm_head'],
  ['blk.12.ffn_up.weight', '12 ffn_up'],
])('%s is labelled %s', (name, label) => expect(shortName(name)).toBe(label));

test.each([
  [
    ['model.layers.0.q.weight', 'model.layers.1.k.weight'],
    ['0.q', '1.k'],
  ],
  [
    ['lm_head.weight', 'model.layers.1.k.weight'],
    ['lm_head', 'model.layers.1.k'],
  ],
  [
    ['fc1.weight', 'fc2.weight'],
    ['fc1', 'fc2'],
  ],
  [['a.weight'], ['a.weight']],
  [
    ['onnx::MatMul_1', 'onnx::MatMul_2'],
    ['onnx::MatMul_1', 'onnx::MatMul_2'],
  ],
  [
    ['x.x', 'x.x'],
    ['x.x', 'x.x'],
  ],
])('%j are listed as %j', (names, listed) => {
  const { start, end } = commonEnds(names);
  expect(names.map((name) => name.slice(start, name.length - end))).toEqual(listed);
});
