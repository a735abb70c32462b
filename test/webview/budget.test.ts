import { describe, expect, test } from 'vitest';
import type {
  BitAllocationEvents,
  BitAllocationRequests,
  BitAllocationView,
  ComparedResult,
} from '../../src/protocol/panels/bitAllocation';
import { connectPage } from '../../webview/host/page';
import type { BitAllocationState } from '../../webview/panels/bitAllocation/bitAllocationPage';
import { BitAllocationPage } from '../../webview/panels/bitAllocation/bitAllocationPage';
import { BudgetModel } from '../../webview/panels/bitAllocation/budgetModel';
import { allocationReport, layer, view } from './allocationSamples';
import { FakeHost } from './fakeHost';

const beside: ComparedResult = {
  key: 'job:other',
  title: 'small, rtn',
  layers: [layer(0), layer(1), { ...layer(0), name: 'head.weight' }],
  bytesAfter: 3000,
  bitsPerWeight: 5,
};

async function open(first: BitAllocationView, state?: Partial<BitAllocationState>): Promise<FakeHost> {
  const host = new FakeHost(
    { ready: () => first, saveRecipe: () => undefined, compress: () => undefined, compare: () => beside },
    state && { version: 2, state: { tab: 'layers', ...state } },
  );
  await new BitAllocationPage(connectPage<BitAllocationRequests, BitAllocationEvents, BitAllocationState>(2)).start();
  await host.settle();
  return host;
}

function budgetView(tensors: number, itemsPerTensor: number): BitAllocationView {
  const allocation = allocationReport(tensors, itemsPerTensor, 4);
  const made = new BudgetModel(allocation).asMade();
  const layers = Array.from({ length: tensors }, (_, index) => ({
    ...layer(index),
    bytesAfter: Math.ceil((made.tensors.get(layer(index).name)?.storedBits ?? 0) / 8),
  }));
  return view({ status: 'done', layers, allocation, bytesBefore: 100_000, bytesAfter: 40_000, bitsPerWeight: 4 });
}

/** Moves the slider as a hand or a key does. */
function move(host: FakeHost, budget: number): void {
  const slider = host.find('budget-slider') as HTMLInputElement;
  slider.value = String(budget);
  slider.dispatchEvent(new host.window.Event('input'));
}

const number = (host: FakeHost, id: string) => Number.parseFloat(host.find(id).textContent ?? '');

describe('the budget slider', () => {
  test('starts at the budget of the result and shows the result itself', async () => {
    const host = await open(budgetView(8, 1));
    expect((host.find('budget-slider') as HTMLInputElement).value).toBe('4');
    expect(number(host, 'budget-bits')).toBeLessThanOrEqual(4);
    expect(host.find('layer-hint').textContent).toContain('As compressed.');
    expect(host.find('budget-reset').hasAttribute('disabled')).toBe(true);
  });

  test('moves size, predicted loss, bars and curve at once', async () => {
    const host = await open(budgetView(8, 1));
    const [loss, size] = [number(host, 'budget-loss'), host.find('budget-size').textContent];
    const bars = host.all('.width-bar').map((bar) => bar.style.width);
    move(host, 2.5);
    expect(number(host, 'budget-bits')).toBeLessThanOrEqual(2.5);
    expect(number(host, 'budget-loss')).toBeGreaterThan(loss);
    expect(host.find('budget-size').textContent).not.toBe(size);
    expect(host.all('.width-bar').map((bar) => bar.style.width)).not.toEqual(bars);
    expect(host.find('budget-slider').getAttribute('aria-valuetext')).toMatch(/^2\.5 bits per weight, .*B, predicted loss/);
    expect(host.find('pareto-chart').getAttribute('aria-label')).toContain('the budget is 2.4');
    expect(host.find('size-budget').textContent).toMatch(/KiB/);
    expect(host.find('layer-hint').textContent).toContain('not compressed yet');
    host.find('budget-reset').click();
    expect(number(host, 'budget-loss')).toBe(loss);
  });

  test('a typed number does the same as the slider', async () => {
    const host = await open(budgetView(8, 1));
    const field = host.find('budget-number') as HTMLInputElement;
    field.value = '3.2';
    field.dispatchEvent(new host.window.Event('change'));
    expect((host.find('budget-slider') as HTMLInputElement).value).toBe('3.2');
    expect(number(host, 'budget-bits')).toBeLessThanOrEqual(3.2);
  });

  test('the curve has a table with predicted and measured points', async () => {
    const host = await open(budgetView(8, 1));
    const details = host.find('pareto-chart-table') as HTMLDetailsElement;
    details.open = true;
    details.dispatchEvent(new host.window.Event('toggle'));
    const kinds = [...details.querySelectorAll('tbody tr')].map((row) => row.lastElementChild?.textContent);
    expect(kinds.slice(0, 3)).toEqual(['this budget', 'this result', 'measured']);
    expect(kinds.filter((kind) => kind === 'predicted').length).toBeGreaterThan(5);
  });

  test('ten thousand groups move as one', async () => {
    const host = await open(budgetView(100, 100));
    const times: number[] = [];
    let last = Infinity;
    for (let budget = 2.2; budget < 6; budget += 0.2) {
      const started = performance.now();
      move(host, Number(budget.toFixed(2)));
      times.push(performance.now() - started);
      expect(number(host, 'budget-bits')).toBeLessThanOrEqual(budget + 1e-6);
      expect(number(host, 'budget-bits')).toBeGreaterThan(budget - 0.02);
      expect(number(host, 'budget-loss')).toBeLessThan(last);
      last = number(host, 'budget-loss');
    }
    times.sort((a, b) => a - b);
    console.log(
      `# a move of the budget over 10,000 groups: median ${times[times.length >> 1]?.toFixed(1)} ms, most ${times.at(-1)?.toFixed(1)} ms`,
    );
    // Bars hold the widths of a hundred groups each.
    expect(host.all('.width-bar')[0]?.children.length).toBeGreaterThan(1);
  }, 60_000);
});

describe('pins', () => {
  const key = (host: FakeHost, name: string) =>
    host.all('.table-viewport')[0]?.dispatchEvent(new host.window.KeyboardEvent('keydown', { key: name, bubbles: true }));
  const bitsOf = (host: FakeHost, row: number) => host.all('[data-cell=bits]')[row]?.textContent;

  test('by keyboard: a digit on a layer fixes its width, Delete frees it', async () => {
    const host = await open(budgetView(8, 1));
    key(host, 'ArrowDown');
    key(host, '8');
    expect(bitsOf(host, 0)).toBe('8');
    expect(host.find('pin').textContent).toBe('0 up_proj: 8 ×');
    expect(number(host, 'budget-bits')).toBeLessThanOrEqual(4);
    // Five bits is not an allowed width: the key does nothing.
    key(host, '5');
    expect(bitsOf(host, 0)).toBe('8');
    key(host, 'Delete');
    expect(host.all('[data-testid=pin]')).toHaveLength(0);
  });

  test('by mouse: chosen in the row, lifted above the list', async () => {
    const host = await open(budgetView(8, 1));
    const select = host.all('[data-testid=layer-table] select')[1] as HTMLSelectElement;
    expect([...select.options].map(({ text }) => text)).toEqual(['none', '2 bits', '3 bits', '4 bits', '6 bits', '8 bits']);
    select.value = '2';
    select.dispatchEvent(new host.window.Event('change'));
    expect(bitsOf(host, 1)).toBe('2');
    move(host, 8);
    expect(bitsOf(host, 1)).toBe('2');
    host.find('pin').click();
    expect(bitsOf(host, 1)).not.toBe('2');
  });

  test('a pin holds for every group of its layer', async () => {
    const host = await open(budgetView(4, 50));
    key(host, 'ArrowDown');
    key(host, '6');
    expect(host.all('.width-bar')[0]?.getAttribute('aria-label')).toBe('bits: 6: 100 %');
  });

  test('pins that need more than the budget are reported', async () => {
    const host = await open(budgetView(2, 1));
    for (const step of ['ArrowDown', '8', 'ArrowDown', '8']) key(host, step);
    expect(host.find('budget-message').textContent).toContain('The pins need at least 8.03 bits per weight');
    expect((host.find('budget-slider') as HTMLInputElement).min).toBe('8.04');
  });

  test('pins and budget survive a reload and go into recipe and job', async () => {
    const host = await open(budgetView(8, 1), { budget: 3, pins: [[layer(2).name, 6]] });
    expect(bitsOf(host, 2)).toBe('6');
    host.find('budget-save').click();
    expect(host.requests.at(-1)).toMatchObject({ method: 'saveRecipe', value: { budget: 3, pins: { [layer(2).name]: 6 } } });
    host.find('budget-compress').click();
    expect(host.requests.at(-1)).toMatchObject({ method: 'compress', value: { budget: 3 } });
  });

  test('several options of one width stay a choice under a pin', () => {
    const option = (bits: number, groupSize: number, storedBits: number, loss: number) => ({
      bits,
      storedBits,
      loss,
      parameters: { groupSize },
    });
    const options = [option(2, 64, 210, 9), option(4, 64, 410, 3), option(4, 16, 460, 2), option(8, 64, 810, 0)];
    const items = ['a', 'b'].map((tensor) => ({ tensor, weights: 100, options }));
    const model = new BudgetModel({
      budget: 4,
      unit: 'tensor',
      sensitivity: 'error',
      predictedLoss: 0,
      curve: [],
      items,
      chosen: [1, 1],
    });
    model.setPins(new Map([['a', 4]]));
    expect(model.at(3.2).tensors.get('a')).toMatchObject({ bits: 4, storedBits: 410 });
    expect(model.at(6.4).tensors.get('a')).toMatchObject({ bits: 4, storedBits: 460 });
    expect(model.at(20).tensors.get('b')?.bits).toBe(8);
    // A width that the layer does not have: the nearest one.
    model.setPins(new Map([['a', 7]]));
    expect(model.at(20).tensors.get('a')?.bits).toBe(8);
  });
});

describe('comparison with another result', () => {
  test('layers are shown side by side by name, with the difference in bits', async () => {
    const host = await open(budgetView(2, 1));
    host.find('compare').click();
    await host.settle();
    expect(host.requests.at(-1)).toMatchObject({ method: 'compare', value: {} });
    expect(host.find('compared').textContent).toContain('Compared with small, rtn, 5 bits per weight.');
    const differences = host.all('[data-cell=difference]').map((cell) => cell.textContent);
    expect(differences).toHaveLength(3);
    expect(differences[2]).toBe('other result only');
    expect(host.all('.width-bar.other')).toHaveLength(3);
    expect(host.state).toMatchObject({ state: { other: 'job:other' } });
    host.find('stop-comparing').click();
    expect(host.all('.width-bar.other')).toHaveLength(0);
    expect((host.state as { state: BitAllocationState }).state.other).toBeUndefined();
  });

  test('it is restored with the panel', async () => {
    const host = await open(budgetView(2, 1), { other: 'job:other' });
    expect(host.requests.find(({ method }) => method === 'compare')?.value).toEqual({ key: 'job:other' });
    expect(host.find('compared').hidden).toBe(false);
  });
});
