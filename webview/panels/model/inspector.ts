import { formatBytes, formatCount, formatNumber } from '../../../src/common/units';
import { elementCount } from '../../../src/protocol/dtypes';
import type { TensorPicture, TensorStatistics, TensorSummary } from '../../../src/protocol/model';
import { HistogramChart } from '../../charts/histogram';
import { Heatmap } from '../../charts/heatmap';
import type { Region } from '../../charts/viewRegion';
import { element, factList } from '../../components/dom';
import { shapeText } from '../../components/tensorOrder';
import { button } from '../../components/controls';

/** Requests that the inspector makes of its page. */
export interface InspectorHost {
  statistics(tensor: string): Promise<TensorStatistics>;
  picture(tensor: string, region: Region | undefined, width: number, height: number): Promise<TensorPicture>;
  copy(text: string): void;
  manageTrust(): void;
}

/** Shape, statistics, histogram and heatmap of the selected tensor. */
export class Inspector {
  readonly root = element('section', { class: 'inspector', 'data-testid': 'inspector', 'aria-label': 'Tensor' });
  private readonly histogram = new HistogramChart();
  private readonly heatmap = new Heatmap();
  private generation = 0;

  constructor(private readonly host: InspectorHost) {
    this.showNothing();
  }

  /** The placeholder before a tensor is selected. */
  showNothing(): void {
    this.generation += 1;
    this.root.replaceChildren(
      element('p', { class: 'muted placeholder', text: 'Select a tensor to see its statistics, histogram and values.' }),
    );
  }

  /** Redraws after a change of theme. */
  redraw(): void {
    this.histogram.draw();
    this.heatmap.draw();
  }

  /** Shows a tensor. Resolves once its statistics and picture, or the reason for their absence, are shown. */
  async show(tensor: TensorSummary, valuesRefused: string | undefined): Promise<void> {
    const generation = (this.generation += 1);
    const values = element('div', { class: 'values' });
    this.root.replaceChildren(this.heading(tensor), values);
    if (valuesRefused !== undefined) {
      values.append(
        element('p', { class: 'muted', text: valuesRefused, 'data-testid': 'values-refused' }),
        button({ id: 'manage-trust', label: 'Manage Workspace Trust', quiet: true, onClick: () => this.host.manageTrust() }),
      );
      return;
    }
    if (elementCount(tensor.shape) === 0) {
      values.append(element('p', { class: 'muted', text: 'This tensor has no elements.' }));
      return;
    }
    const numbers = element('div', { 'data-testid': 'stats' }, [element('p', { class: 'muted', text: 'Reading values…' })]);
    this.histogram.show(undefined);
    values.append(
      numbers,
      element('h3', { text: 'Distribution' }),
      element('p', { class: 'hint', text: 'Bar height is proportional to the square root of the count.' }),
      this.histogram.root,
      element('h3', { text: 'Values' }),
      this.heatmap.root,
      element('p', { class: 'hint', text: 'Drag to pan. Click, then scroll to zoom. Keys: arrows, + − 0.' }),
    );
    const picture = this.heatmap.show((region, width, height) => this.host.picture(tensor.name, region, width, height));
    try {
      const statistics = await this.host.statistics(tensor.name);
      if (generation !== this.generation) return;
      numbers.replaceChildren(statisticsList(statistics));
      this.histogram.show(statistics.histogram);
      await picture;
    } catch (error) {
      if (generation !== this.generation) return;
      const message = error instanceof Error ? error.message : String(error);
      values.replaceChildren(element('p', { class: 'problem', text: message, 'data-testid': 'values-problem' }));
      picture.catch(() => undefined);
    }
  }

  private heading(tensor: TensorSummary): HTMLElement {
    const count = elementCount(tensor.shape);
    const facts = [
      { id: 'shape', value: shapeText(tensor.shape) },
      { id: 'dtype', value: tensor.dtype },
      { id: 'elements', value: `${formatCount(count)} ${count === 1 ? 'element' : 'elements'}` },
      { id: 'bytes', value: formatBytes(tensor.bytes) },
      ...(tensor.role === 'other' ? [] : [{ id: 'role', value: `role: ${tensor.role}` }]),
      ...(tensor.file === '' ? [] : [{ id: 'file', value: tensor.file }]),
    ];
    return element('header', {}, [
      element('h2', { class: 'tensor-name', text: tensor.name, 'data-testid': 'tensor-name' }),
      element(
        'ul',
        { class: 'subtitle numbers' },
        facts.map(({ id, value }) => element('li', { text: value, 'data-stat': id })),
      ),
      element('div', { class: 'tools' }, [
        button({ id: 'copy-name', label: 'Copy name', quiet: true, onClick: () => this.host.copy(tensor.name) }),
        button({ id: 'copy-shape', label: 'Copy shape', quiet: true, onClick: () => this.host.copy(`[${tensor.shape.join(', ')}]`) }),
      ]),
    ]);
  }
}

function statisticsList(statistics: TensorStatistics): HTMLElement {
  const share = (count: number) =>
    statistics.count === 0 || count === 0
      ? formatCount(count)
      : `${formatCount(count)} (${formatNumber((100 * count) / statistics.count, 3)} %)`;
  // Laid out row by row, two pairs in each.
  const list = factList([
    { label: 'Minimum', value: formatNumber(statistics.minimum), id: 'minimum' },
    { label: 'Mean', value: formatNumber(statistics.mean), id: 'mean' },
    { label: 'Maximum', value: formatNumber(statistics.maximum), id: 'maximum' },
    { label: 'Std. deviation', value: formatNumber(statistics.standardDeviation), id: 'standardDeviation' },
    { label: 'Zeros', value: share(statistics.zeros), id: 'zeros' },
    { label: 'Not finite', value: share(statistics.notFinite), id: 'notFinite' },
  ]);
  list.classList.add('pairs');
  return list;
}
