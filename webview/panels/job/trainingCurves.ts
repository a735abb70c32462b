import { formatCount, formatNumber } from '../../../src/common/units';
import type { TrainingEvaluation, TrainingProgress } from '../../../src/protocol/training';
import { CurveChart } from '../../charts/curveChart';
import { element, setText } from '../../components/dom';

/** Labels of the method metrics that have their own curve. Others are shown under their own name. */
const metricWords: Readonly<Record<string, string>> = { bits: 'Bits per weight', size: 'Size, MiB', penalty: 'Penalty' };

/** Display names of measures on held-out data. */
const measureWords: Readonly<Record<string, string>> = { perplexity: 'Perplexity', accuracy: 'Accuracy', auc: 'AUC', loss: 'Loss' };

/** The step axis starts at 0. */
const fromZero = (_low: number, high: number): readonly [number, number] => [0, high];

/** Loss, bits and size over the steps of a training run, and the evaluations with quantised weights. */
export class TrainingCurves {
  readonly root = element('div', { class: 'curves', 'data-testid': 'curves' });
  private readonly loss = new CurveChart({
    id: 'loss-chart',
    label: 'Loss over steps',
    x: 'Step',
    y: 'Loss',
    range: fromZero,
    formatX: formatCount,
  });
  private readonly bits = new CurveChart({
    id: 'training-bits-chart',
    label: 'Bits per weight over steps',
    x: 'Step',
    y: 'Bits per weight',
    range: fromZero,
    formatX: formatCount,
  });
  private readonly measure = new CurveChart({
    id: 'measure-chart',
    label: 'Held-out measure over steps',
    x: 'Step',
    y: '',
    range: fromZero,
    formatX: formatCount,
  });
  private readonly sections: Readonly<Record<'loss' | 'bits' | 'measure', HTMLElement>>;
  private readonly measureTitle = element('h2', { text: 'Held-out data' });

  constructor() {
    const section = (title: HTMLElement, hint: string, chart: CurveChart) =>
      element('section', { class: 'chart-block' }, [title, element('p', { class: 'hint', text: hint }), chart.root]);
    this.sections = {
      loss: section(element('h2', { text: 'Loss' }), 'Loss of the training steps, and on held-out data with quantised weights.', this.loss),
      bits: section(element('h2', { text: 'Bits' }), 'Stored bits per weight, including side information.', this.bits),
      measure: section(this.measureTitle, 'With quantised weights.', this.measure),
    };
    this.root.append(...Object.values(this.sections));
  }

  /** Shows a training run so far; nothing for jobs that do not train. */
  show(training: TrainingProgress | undefined): void {
    this.root.hidden = !training;
    if (!training) return;
    const { curve, evaluations } = training;
    this.showLoss(training);
    this.showBits(training);
    const metric = evaluations.at(-1)?.metric;
    this.sections.measure.hidden = metric === undefined || metric === 'loss';
    if (metric === undefined) return;
    const name = measureWords[metric] ?? metric;
    setText(this.measureTitle, `${name} on held-out data`);
    this.measure.show(
      [
        {
          label: name,
          points: evaluations.map(({ step, value }) => ({ x: step, y: value })),
          colour: (theme) => theme.third,
          style: evaluations.length > 1 ? 'line' : 'marks',
        },
        ...bestMark(training, ({ value }) => value),
      ],
      {
        summary: `${evaluations.length} evaluations, the latest ${formatNumber(evaluations.at(-1)?.value ?? 0, 4)} after ${curve.at(-1)?.step ?? 0} steps.`,
        columns: ['Step', name, 'Loss', 'Bits per weight'],
        rows: evaluations.map(({ step, value, loss, bitsPerWeight }) => [
          formatCount(step),
          formatNumber(value, 5),
          formatNumber(loss, 4),
          bitsPerWeight === undefined ? '' : formatNumber(bitsPerWeight, 3),
        ]),
      },
    );
  }

  /** Redraws the curves after a change of theme or size. */
  draw(): void {
    for (const chart of [this.loss, this.bits, this.measure]) chart.draw();
  }

  private showLoss(training: TrainingProgress): void {
    const { curve, evaluations } = training;
    this.loss.show(
      [
        {
          label: 'Training',
          points: curve.map(({ step, loss }) => ({ x: step, y: loss })),
          colour: (theme) => theme.accent,
          style: 'line',
        },
        {
          label: 'Held-out, quantised',
          points: evaluations.map(({ step, loss }) => ({ x: step, y: loss })),
          colour: (theme) => theme.second,
          style: 'marks',
        },
        ...bestMark(training, ({ loss }) => loss),
      ],
      {
        summary:
          curve.length === 0
            ? 'No steps yet.'
            : `From ${formatNumber(curve[0]?.loss ?? 0, 4)} at step ${curve[0]?.step ?? 0} to ${formatNumber(curve.at(-1)?.loss ?? 0, 4)} at step ${curve.at(-1)?.step ?? 0}.`,
        columns: ['Step', 'Loss', 'Kind'],
        rows: [
          ...curve.map(({ step, loss }) => [formatCount(step), formatNumber(loss, 5), 'training']),
          ...evaluations.map(({ step, loss }) => [formatCount(step), formatNumber(loss, 5), 'held-out']),
        ],
      },
    );
  }

  private showBits({ curve, evaluations }: TrainingProgress): void {
    const names = [...new Set(curve.flatMap(({ metrics }) => Object.keys(metrics)))].filter((name) => name !== 'loss');
    const main = names.includes('bits') ? 'bits' : names.includes('size') ? 'size' : undefined;
    const rounded = evaluations.flatMap(({ step, bitsPerWeight }) => (bitsPerWeight === undefined ? [] : [{ x: step, y: bitsPerWeight }]));
    this.sections.bits.hidden = main === undefined && rounded.length === 0;
    const points = curve.flatMap(({ step, metrics }) => {
      const y = main === undefined ? undefined : metrics[main];
      return y === undefined ? [] : [{ x: step, y }];
    });
    this.bits.show(
      [
        { label: main === undefined ? '' : (metricWords[main] ?? main), points, colour: (theme) => theme.accent, style: 'line' },
        ...(main === 'size'
          ? []
          : [
              {
                label: 'Rounded',
                points: rounded,
                colour: (theme: { second: string }) => theme.second,
                style: 'marks' as const,
              },
            ]),
      ],
      {
        summary:
          points.length === 0
            ? 'No values yet.'
            : `From ${formatNumber(points[0]?.y ?? 0, 3)} to ${formatNumber(points.at(-1)?.y ?? 0, 3)}.`,
        columns: ['Step', ...names.map((name) => metricWords[name] ?? name)],
        rows: curve.map(({ step, metrics }) => [formatCount(step), ...names.map((name) => formatNumber(metrics[name] ?? NaN, 4))]),
      },
    );
  }
}

/** The best step so far, which is the one that will be written. */
function bestMark({ bestStep, evaluations }: TrainingProgress, value: (evaluation: TrainingEvaluation) => number) {
  const best = evaluations.find(({ step }) => step === bestStep);
  return best
    ? [
        {
          label: 'Best',
          points: [{ x: best.step, y: value(best) }],
          colour: (theme: { third: string }) => theme.third,
          style: 'here' as const,
        },
      ]
    : [];
}
