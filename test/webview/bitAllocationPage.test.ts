import { expect, test } from 'vitest';
import type { BitAllocationEvents, BitAllocationRequests, BitAllocationView } from '../../src/protocol/panels/bitAllocation';
import { shortName } from '../../webview/charts/layerChart';
import { connectPage } from '../../webview/host/page';
import type { BitAllocationState } from '../../webview/panels/bitAllocation/bitAllocationPage';
import { BitAllocationPage } from '../../webview/panels/bitAllocation/bitAllocationPage';
import { FakeHost } from './fakeHost';

const layer = (index: number) => ({
  name: `model.layers.${index}.mlp.up_proj.weight`,
  weights: 1000,
  bits: index === 1 ? 8 : 4,
  relativeError: 0.05 + index / 100,
  bytesBefore: 2000,
  bytesAfter: 625,
});

const view = (change: Partial<BitAllocationView>): BitAllocationView => ({
  job: 'job-1',
  title: 'small',
  model: 'small',
  method: 'rtn, onnx-fast',
  status: 'running',
  layers: [],
  bytesBefore: 0,
  bytesAfter: 0,
  bitsPerWeight: 0,
  notes: [],
  ...change,
});

async function open(first: BitAllocationView): Promise<FakeHost> {
  const host = new FakeHost({ ready: () => first, openReport: () => undefined, revealOutput: () => undefined });
  await new BitAllocationPage(connectPage<BitAllocationRequests, BitAllocationEvents, BitAllocationState>(1)).start();
  await host.settle();
  return host;
}

test('fills while the job runs and keeps the job for a restored panel', async () => {
  const host = await open(view({}));
  expect(host.find('status').textContent).toBe('Running');
  expect(host.all('[data-testid=layer-table] tbody tr')).toHaveLength(0);
  host.send('changed', view({ layers: [layer(0), layer(1)], bytesBefore: 4000, bytesAfter: 1250, bitsPerWeight: 5, fraction: 0.5 }));
  expect(host.all('[data-testid=layer-table] tbody tr')).toHaveLength(2);
  expect(host.find('bits-chart').getAttribute('aria-label')).toBe(
    'Bits per weight code of 2 layers, from 4 to 8. The same numbers are in the table.',
  );
  expect(host.state).toEqual({ version: 1, state: { tab: 'charts', job: 'job-1' } });
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

test('the table sorts by a clicked column', async () => {
  const host = await open(view({ status: 'done', layers: [layer(0), layer(2), layer(1)] }));
  const heads = host.all('[data-testid=layer-table] th button');
  heads.find((head) => head.textContent === 'Relative error')?.click();
  const names = () => host.all('[data-testid=layer-table] tbody th').map((cell) => /layers\.(\d)/.exec(cell.textContent ?? '')?.[1]);
  expect(names()).toEqual(['0', '1', '2']);
  heads.find((head) => head.textContent === 'Relative error')?.click();
  expect(names()).toEqual(['2', '1', '0']);
});

test.each([
  ['model.layers.3.self_attn.q_proj.weight', '3 q_proj'],
  ['lm_head.weight', 'lm_head'],
  ['blk.12.ffn_up.weight', '12 ffn_up'],
])('%s is labelled %s', (name, label) => expect(shortName(name)).toBe(label));
