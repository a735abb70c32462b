import { formatBytes, formatNumber } from '../../../src/common/units';
import { CurveChart } from '../../charts/curveChart';
import { shortName } from '../../charts/layerChart';
import { button } from '../../components/controls';
import { element, setText } from '../../components/dom';
import type { BudgetModel, BudgetOutcome, WidthPins } from './budgetModel';

/** Events of the budget panel. */
export interface BudgetPanelEvents {
  readonly onBudget: (budget: number) => void;
  readonly onUnpin: (tensor: string) => void;
  /** Return to the result as compressed, without pins. */
  readonly onReset: () => void;
  readonly onSave: () => void;
  readonly onCompress: () => void;
}

/** Data shown by the budget panel. */
export interface BudgetPanelView {
  readonly model: BudgetModel;
  readonly outcome: BudgetOutcome;
  readonly made: Pick<BudgetOutcome, 'bitsPerWeight' | 'storedBits' | 'loss'>;
  readonly budget: number;
  readonly pins: WidthPins;
  /** How the loss was predicted. */
  readonly sensitivity: string;
  /** True if the user has moved the budget or pinned something. */
  readonly changed: boolean;
}

/** Upper end of the slider in bits per weight, if larger budgets are possible. */
const usualReach = 9;
/** Maximum number of pins shown by name; the rest are counted. */
const shownPins = 12;

/** The budget slider with size and predicted loss, the trade-off curve, the pins, and the actions. */
export class BudgetPanel {
  readonly root = element('section', { class: 'budget', 'aria-label': 'Budget', 'data-testid': 'budget' });
  private readonly slider = element('input', {
    type: 'range',
    step: '0.01',
    'aria-label': 'Budget in bits per weight',
    'data-testid': 'budget-slider',
  });
  private readonly number = element('input', {
    type: 'number',
    step: '0.01',
    'aria-label': 'Budget in bits per weight, as a number',
    'data-testid': 'budget-number',
  });
  private readonly outputs = element('dl', { class: 'outputs' });
  private readonly message = element('p', { class: 'hint', role: 'status', 'data-testid': 'budget-message' });
  private readonly pins = element('ul', { class: 'pins', 'aria-label': 'Pinned widths', 'data-testid': 'pins' });
  private readonly reset: HTMLElement;
  private readonly curve = new CurveChart({
    id: 'pareto-chart',
    label: 'Size against predicted loss',
    x: 'Bits per weight',
    y: 'Predicted loss',
    logarithmic: true,
    range: (low, high) => [Math.floor(low), Math.ceil(high)],
  });
  private curveOf: string | undefined;
  private predicted: ReturnType<BudgetModel['curve']> = { predicted: [], measured: [] };

  constructor(private readonly events: BudgetPanelEvents) {
    this.slider.addEventListener('input', () => events.onBudget(Number(this.slider.value)));
    this.number.addEventListener('change', () => {
      const value = Number(this.number.value);
      if (this.number.value.trim() !== '' && Number.isFinite(value)) events.onBudget(value);
    });
    this.reset = button({
      id: 'budget-reset',
      label: 'Reset',
      quiet: true,
      title: 'Return to the result as compressed',
      onClick: events.onReset,
    });
    this.root.append(
      element('h2', { text: 'Budget' }),
      element('div', { class: 'budget-grid' }, [
        element('div', { class: 'budget-controls' }, [
          element('div', { class: 'budget-line' }, [
            this.slider,
            element('label', { class: 'budget-number' }, [this.number, element('span', { class: 'muted', text: 'bits per weight' })]),
          ]),
          this.outputs,
          this.message,
          this.pins,
          element('div', { class: 'tools' }, [
            button({ id: 'budget-compress', label: 'Compress…', title: 'Compress with this budget', onClick: events.onCompress }),
            button({ id: 'budget-save', label: 'Save as Recipe…', quiet: true, onClick: events.onSave }),
            this.reset,
          ]),
        ]),
        this.curve.root,
      ]),
    );
  }

  /** Shows a budget and its outcome. */
  show(view: BudgetPanelView): void {
    const { outcome, budget } = view;
    const rounded = (value: number) => Math.ceil(value * 100 - 1e-6) / 100;
    for (const input of [this.slider, this.number]) input.min = String(rounded(outcome.smallest));
    this.number.max = String(rounded(outcome.largest));
    this.slider.max = String(rounded(this.reach(view)));
    const text = String(Number(budget.toFixed(2)));
    if (this.slider.value !== text) this.slider.value = text;
    if (document.activeElement !== this.number || Number(this.number.value) !== Number(text)) this.number.value = text;
    this.slider.setAttribute(
      'aria-valuetext',
      `${text} bits per weight, ${formatBytes(Math.ceil(outcome.storedBits / 8))}, predicted loss ${formatNumber(outcome.loss, 3)}`,
    );
    this.drawOutputs(view);
    this.drawPins(view.pins);
    this.reset.toggleAttribute('disabled', !view.changed);
    this.drawCurve(view);
  }

  /** Redraws the curve after a change of theme or size. */
  draw(): void {
    this.curve.draw();
  }

  /** Largest budget on the slider: leaving tensors at 16 bits would take half of its length and is not useful. */
  private reach({ outcome, budget }: BudgetPanelView): number {
    return Math.max(outcome.smallest, Math.min(outcome.largest, Math.max(usualReach, budget)));
  }

  private drawOutputs({ outcome, made, changed, sensitivity }: BudgetPanelView): void {
    const row = (id: string, label: string, value: string, change: string) =>
      element('div', {}, [
        element('dt', { text: label }),
        element('dd', {}, [
          element('span', { class: 'value numbers', text: value, 'data-testid': id }),
          element('span', { class: 'muted numbers', text: changed ? change : '' }),
        ]),
      ]);
    const [size, before] = [Math.ceil(outcome.storedBits / 8), Math.ceil(made.storedBits / 8)];
    this.outputs.replaceChildren(
      row(
        'budget-bits',
        'Uses',
        `${formatNumber(outcome.bitsPerWeight, 3)} bits`,
        signed(outcome.bitsPerWeight - made.bitsPerWeight, (value) => formatNumber(value, 2)),
      ),
      row('budget-size', 'Size of the weights', formatBytes(size), signed(size - before, formatBytes)),
      row(
        'budget-loss',
        'Predicted loss',
        formatNumber(outcome.loss, 3),
        signed(outcome.loss - made.loss, (value) => formatNumber(value, 2)),
      ),
    );
    setText(
      this.message,
      outcome.met
        ? `Loss added by rounding, predicted from ${sensitivityWords[sensitivity] ?? sensitivity}.${changed ? ' Differences are relative to the result.' : ''}`
        : `The pins need at least ${formatNumber(outcome.smallest, 3)} bits per weight. Raise the budget or remove a pin.`,
    );
  }

  private drawPins(pins: WidthPins): void {
    const shown = [...pins].slice(0, shownPins);
    this.pins.hidden = pins.size === 0;
    this.pins.replaceChildren(
      ...shown.map(([tensor, width]) => {
        const lift = element('button', {
          type: 'button',
          class: 'pin',
          title: `Remove the pin of ${tensor}`,
          'aria-label': `Remove the pin of ${tensor} at ${width} bits`,
          'data-testid': 'pin',
        });
        lift.append(element('span', { text: `${shortName(tensor)}: ${width}` }), element('span', { 'aria-hidden': 'true', text: ' ×' }));
        lift.addEventListener('click', () => this.events.onUnpin(tensor));
        return element('li', {}, [lift]);
      }),
      ...(pins.size > shownPins ? [element('li', { class: 'muted', text: `and ${pins.size - shownPins} more` })] : []),
    );
  }

  private drawCurve(view: BudgetPanelView): void {
    const { model, outcome, made, pins, changed } = view;
    // The curve depends on the pins alone; moving the budget only moves the point on it.
    const key = JSON.stringify([...pins]);
    if (this.curveOf !== key) {
      this.curveOf = key;
      this.predicted = model.curve();
    }
    const { predicted, measured } = this.predicted;
    const reach = this.reach(view);
    const point = ({ bitsPerWeight, loss }: { readonly bitsPerWeight: number; readonly loss: number }) => ({ x: bitsPerWeight, y: loss });
    const numbers = ({ bitsPerWeight, loss }: { readonly bitsPerWeight: number; readonly loss: number }, kind: string) => [
      formatNumber(bitsPerWeight, 4),
      formatNumber(loss, 4),
      kind,
    ];
    this.curve.show(
      [
        {
          label: 'Best trade-off',
          points: predicted.filter(({ bitsPerWeight }) => bitsPerWeight <= reach * 1.02).map(point),
          colour: (theme) => theme.accent,
          style: 'line',
        },
        { label: 'Measured', points: measured.map(point), colour: (theme) => theme.fourth, style: 'marks' },
        ...(changed
          ? [{ label: 'This result', points: [point(made)], colour: (theme: { muted: string }) => theme.muted, style: 'marks' as const }]
          : []),
        { label: changed ? 'This budget' : 'This result', points: [point(outcome)], colour: (theme) => theme.second, style: 'here' },
      ],
      {
        summary:
          `From ${formatNumber(predicted[0]?.bitsPerWeight ?? 0, 3)} bits per weight with a loss of ${formatNumber(predicted[0]?.loss ?? 0, 3)} ` +
          `to ${formatNumber(predicted.at(-1)?.bitsPerWeight ?? 0, 3)} with ${formatNumber(predicted.at(-1)?.loss ?? 0, 3)}; ` +
          `the budget is ${formatNumber(outcome.bitsPerWeight, 3)} with ${formatNumber(outcome.loss, 3)}.`,
        columns: ['Bits per weight', 'Loss', 'Kind'],
        rows: [
          numbers(outcome, 'this budget'),
          numbers(made, 'this result'),
          ...measured.map((one) => numbers(one, 'measured')),
          ...predicted.map((one) => numbers(one, 'predicted')),
        ],
      },
    );
  }
}

/** What a predicted loss is computed from. */
const sensitivityWords: Readonly<Record<string, string>> = {
  error: 'the error of the weights',
  activation: "the error of the layers' outputs",
  gradient: 'the gradient of the loss',
  divergence: 'the measured divergence of the outputs',
};

/** A difference with its sign. */
function signed(difference: number, text: (value: number) => string): string {
  if (difference === 0) return 'unchanged';
  return `${difference < 0 ? '−' : '+'}${text(Math.abs(difference))}`;
}
