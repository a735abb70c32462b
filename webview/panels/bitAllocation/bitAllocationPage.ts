import { formatNumber } from '../../../src/common/units';
import type {
  AllocatedLayer,
  BitAllocationEvents,
  BitAllocationRequests,
  BitAllocationView,
  BudgetChoice,
  ComparedResult,
} from '../../../src/protocol/panels/bitAllocation';
import type { RequestValue } from '../../../src/protocol/panels/page';
import { LayerChart } from '../../charts/layerChart';
import { button, tabs } from '../../components/controls';
import { debounce, element, setText } from '../../components/dom';
import type { Page } from '../../host/page';
import { markRendered } from '../../host/page';
import { onThemeChange } from '../../host/theme';
import type { BudgetOutcome } from './budgetModel';
import { BudgetModel } from './budgetModel';
import { BudgetPanel } from './budgetPanel';
import { LayerList } from './layerList';
import { layerRows } from './layerRows';
import { drawFigures, drawSizes } from './resultFigures';

/** The page's saved state; `job` lets the host find the job again after the window reloads. */
export interface BitAllocationState {
  readonly tab: string;
  readonly job?: string;
  readonly budget?: number;
  readonly pins?: readonly (readonly [tensor: string, width: number])[];
  /** Key of the result that this one is compared with. */
  readonly other?: string;
}

/** Sizes, bits and errors over the layers of a compressed model, and what another budget would give. */
export class BitAllocationPage {
  private readonly head = element('header', { class: 'page-head' });
  private readonly progress = element('div');
  private readonly figures = element('div', { class: 'figures' });
  private readonly sizes = element('section', { class: 'sizes', 'aria-label': 'Size before and after' });
  private readonly budgetHint = element('p', { class: 'hint', 'data-testid': 'allocation-hint' });
  private readonly compared = element('div', { class: 'compared', role: 'status', 'data-testid': 'compared' });
  private readonly budget = new BudgetPanel({
    onBudget: (budget) => this.move({ budget }),
    onUnpin: (tensor) => this.pin(tensor, undefined),
    onReset: () => this.reset(),
    onSave: () => this.ask('saveRecipe', this.choice()),
    onCompress: () => this.ask('compress', this.choice()),
  });
  private readonly list = new LayerList({
    onPin: (layer, width) => this.pin(layer, width),
    widthsOf: (layer) => this.model?.widthsOf(layer) ?? [],
  });
  private readonly bits = new LayerChart({
    id: 'bits-chart',
    label: 'Bits per weight code',
    value: (layer) => layer.bits,
    colour: 'widths',
    onPick: (layer) => this.list.select(layer),
  });
  private readonly errors = new LayerChart({
    id: 'error-chart',
    label: 'Relative error',
    value: (layer) => layer.relativeError,
    colour: (theme) => theme.second,
  });
  private readonly notes = element('section', { class: 'notes', 'data-testid': 'notes' });
  private state: BitAllocationState;
  private view: BitAllocationView | undefined;
  private model: BudgetModel | undefined;
  private modelOf: BitAllocationView['allocation'];
  private outcome: BudgetOutcome | undefined;
  private other: ComparedResult | undefined;
  private readonly saveLater = debounce(200, () => this.page.saveState(this.state));

  constructor(private readonly page: Page<BitAllocationRequests, BitAllocationEvents, BitAllocationState>) {
    this.state = page.loadState() ?? { tab: 'layers' };
    const charts = element('div', { class: 'stack' }, [
      element('section', { class: 'chart-block' }, [element('h2', { text: 'Bits per layer' }), this.bits.root]),
      element('section', { class: 'chart-block' }, [
        element('h2', { text: 'Error per layer' }),
        element('p', { class: 'hint', text: 'Norm of the change in the weights divided by the norm of the weights.' }),
        this.errors.root,
      ]),
    ]);
    document.body.append(
      element('main', {}, [
        this.head,
        this.progress,
        element('div', { class: 'summary' }, [this.figures, this.sizes]),
        element('div', { class: 'body' }, [
          this.budget.root,
          this.budgetHint,
          this.compared,
          tabs({
            label: 'Layers',
            sheets: [
              { id: 'layers', label: 'Layers', content: this.list.root },
              { id: 'charts', label: 'Charts', content: charts },
            ],
            active: this.state.tab,
            onChange: (tab) => {
              this.keep({ tab });
              // A chart in a hidden tab has no size: it is drawn when its tab is shown.
              this.draw();
            },
          }),
          this.notes,
        ]),
      ]),
    );
    page.on('changed', (view) => this.show(view));
    onThemeChange(() => this.draw());
  }

  /** Requests the first snapshot and draws it; then the result that it was compared with. */
  async start(): Promise<void> {
    this.show(await this.page.request('ready'));
    if (this.state.other !== undefined) await this.compare(this.state.other);
  }

  private show(view: BitAllocationView): void {
    this.view = view;
    if (this.state.job !== view.job) this.keep({ job: view.job });
    if (this.modelOf !== view.allocation) {
      this.modelOf = view.allocation;
      this.model = view.allocation ? new BudgetModel(view.allocation) : undefined;
      this.model?.setPins(new Map(this.state.pins));
    }
    this.drawHead(view);
    setText(this.budgetHint, view.allocationHint ?? '');
    this.budgetHint.hidden = view.allocationHint === undefined;
    this.notes.replaceChildren(
      ...(view.notes.length === 0
        ? []
        : [
            element('h2', { text: 'Notes' }),
            element(
              'ul',
              {},
              view.notes.map((note) => element('li', { text: note })),
            ),
          ]),
    );
    this.update();
  }

  /** Evaluates the budget and draws everything that depends on it. */
  private update(): void {
    const { view, model } = this;
    if (!view) return;
    const made = model?.asMade();
    const changed = this.state.budget !== undefined || (this.state.pins ?? []).length > 0;
    const pins = new Map(this.state.pins);
    const budget = this.state.budget ?? view.allocation?.budget ?? 0;
    // An unchanged result is shown as compressed, not as this page would choose it.
    this.outcome = changed ? model?.at(budget) : model && made && { ...model.at(budget), ...made, met: true };
    this.budget.root.hidden = !model;
    if (model && made && this.outcome && view.allocation) {
      const { sensitivity } = view.allocation;
      this.budget.show({ model, outcome: this.outcome, made, budget, pins, sensitivity, changed });
    }
    const trial = changed ? this.outcome : undefined;
    const moved = trial && made && { bytes: Math.ceil(trial.storedBits / 8), of: Math.ceil(made.storedBits / 8) };
    drawFigures(this.figures, view);
    drawSizes(this.sizes, view, moved, this.other);
    const rows = layerRows({
      layers: view.layers,
      pins,
      ...(this.outcome && { outcome: this.outcome }),
      ...(this.other && { other: this.other }),
    });
    this.list.show(rows, { budget: model !== undefined, compared: this.other !== undefined, hint: this.listHint(trial) });
    this.drawCharts(rows.filter(({ foreign }) => !foreign).map(({ layer }) => layer));
    this.drawCompared(rows.filter((row) => row.other && !row.foreign && Math.abs(row.other.bits - row.layer.bits) > 1e-9).length);
    markRendered();
  }

  private listHint(trial: BudgetOutcome | undefined): string {
    if (!this.model) return '';
    const what = trial ? `Preview at ${formatNumber(trial.bitsPerWeight, 3)} bits per weight, not compressed yet.` : 'As compressed.';
    return `${what} Pin a width in the last column, or press 0 to 8 on a layer; press Delete to remove the pin.`;
  }

  private drawCharts(layers: readonly AllocatedLayer[]): void {
    const others = this.other && new Map(this.other.layers.map((layer) => [layer.name, layer]));
    this.bits.show(layers, others);
    this.errors.show(layers, others);
  }

  private drawCompared(differing: number): void {
    const { other, view } = this;
    this.compared.hidden = !other;
    if (!other || !view) return;
    const loss = other.predictedLoss === undefined ? '' : `, predicted loss ${formatNumber(other.predictedLoss, 3)}`;
    this.compared.replaceChildren(
      element('span', {
        text: `Compared with ${other.title}, ${formatNumber(other.bitsPerWeight, 3)} bits per weight${loss}. ${differing === 0 ? 'No layer differs in bits.' : `${differing} ${differing === 1 ? 'layer differs' : 'layers differ'} in bits.`}`,
      }),
      button({ id: 'stop-comparing', label: 'Stop Comparing', quiet: true, onClick: () => this.stopComparing() }),
    );
  }

  private drawHead(view: BitAllocationView): void {
    const words = { running: 'Running', done: 'Done', failed: 'Failed' } as const;
    const badge = { running: 'badge', done: 'badge passed', failed: 'badge failed' } as const;
    const quiet = (id: string, label: string, onClick: () => void) => button({ id, label, quiet: true, onClick });
    this.head.replaceChildren(
      element('div', {}, [
        element('div', { class: 'title-line' }, [
          element('h1', { text: view.title, 'data-testid': 'title' }),
          element('span', { class: badge[view.status], text: words[view.status], 'data-testid': 'status', role: 'status' }),
        ]),
        element('ul', { class: 'subtitle' }, [
          element('li', { text: view.method }),
          ...(view.statusText === undefined ? [] : [element('li', { class: 'numbers', text: view.statusText })]),
        ]),
      ]),
      element('div', { class: 'tools' }, [
        ...(view.status === 'done'
          ? [
              button({ id: 'open-report', label: 'Open Report', onClick: () => this.ask('openReport') }),
              quiet('reveal-output', 'Reveal Output', () => this.ask('revealOutput')),
            ]
          : []),
        ...(view.layers.length > 0 ? [quiet('compare', 'Compare with…', () => void this.compare(undefined))] : []),
        ...(view.curves ? [quiet('show-curves', 'Curves', () => this.ask('showCurves'))] : []),
      ]),
    );
    const fill = element('div');
    fill.style.width = `${Math.round(100 * (view.fraction ?? 0))}%`;
    this.progress.className = view.status === 'running' ? 'progress' : '';
    this.progress.replaceChildren(...(view.status === 'running' ? [fill] : []));
  }

  private move(change: Pick<BitAllocationState, 'budget'>): void {
    this.keep(change);
    this.update();
  }

  private pin(tensor: string, width: number | undefined): void {
    const pins = new Map(this.state.pins);
    if (width === undefined) pins.delete(tensor);
    else pins.set(tensor, width);
    this.model?.setPins(pins);
    this.keep({ pins: [...pins] });
    this.update();
  }

  private reset(): void {
    const { budget: _budget, pins: _pins, ...rest } = this.state;
    this.state = rest;
    this.model?.setPins(new Map());
    this.keep({});
    this.update();
  }

  private choice(): BudgetChoice {
    return { budget: this.state.budget ?? this.view?.allocation?.budget ?? 0, pins: Object.fromEntries(this.state.pins ?? []) };
  }

  private async compare(key: string | undefined): Promise<void> {
    const found = await this.page.request('compare', key === undefined ? {} : { key }).catch(() => undefined);
    // If the user cancelled, the current comparison stays; a saved result that no longer exists is dropped.
    if (found) this.other = found;
    else if (key === undefined) return;
    this.keepOther(found?.key);
    this.update();
  }

  private stopComparing(): void {
    this.other = undefined;
    this.keepOther(undefined);
    this.update();
  }

  private keepOther(key: string | undefined): void {
    const { other: _other, ...rest } = this.state;
    this.state = rest;
    this.keep(key === undefined ? {} : { other: key });
  }

  /** Asks the host to act. If that fails, the host informs the user. */
  private ask<Method extends keyof BitAllocationRequests>(method: Method, value?: RequestValue<BitAllocationRequests, Method>): void {
    this.page.request(method, value).catch(() => undefined);
  }

  private draw(): void {
    this.budget.draw();
    this.list.draw();
    this.bits.draw();
    this.errors.draw();
  }

  private keep(change: Partial<BitAllocationState>): void {
    this.state = { ...this.state, ...change };
    // A slider moves many times a second, while the job is set once: save what finds the job again immediately.
    if ('budget' in change) this.saveLater();
    else this.page.saveState(this.state);
  }
}
