import { formatBytes, formatCount, formatNumber } from '../../../src/common/units';
import type { BitAllocationView, ComparedResult } from '../../../src/protocol/panels/bitAllocation';
import { element } from '../../components/dom';

/** The headline figures of a result. */
export function drawFigures(target: HTMLElement, view: BitAllocationView): void {
  const worst = view.layers.reduce((largest, layer) => Math.max(largest, layer.relativeError), 0);
  const ratio = view.bytesAfter > 0 && view.bytesBefore > 0 ? view.bytesBefore / view.bytesAfter : undefined;
  const figure = (id: string, label: string, value: string) =>
    element('div', { class: 'figure' }, [
      element('div', { class: 'label', text: label }),
      element('div', { class: 'value', text: value, 'data-testid': id }),
    ]);
  target.replaceChildren(
    figure('bits-per-weight', 'Bits per weight', view.bitsPerWeight > 0 ? formatNumber(view.bitsPerWeight, 3) : '–'),
    figure('ratio', 'Compression ratio', ratio === undefined ? '–' : `${formatNumber(ratio, 3)} ×`),
    figure('layer-count', 'Layers', formatCount(view.layers.length)),
    figure('largest-error', 'Largest error', view.layers.length === 0 ? '–' : formatNumber(worst, 3)),
  );
}

/**
 * Sizes as bars: before, after, under a moved budget, and another result. `moved`: bytes of the compressed weights under the budget, and of the
 * same weights in the result. The rest of the files keeps its size. If file sizes do not depend on the widths (rounded weights in their original
 * type), there is no bar for the budget.
 */
export function drawSizes(
  target: HTMLElement,
  view: BitAllocationView,
  moved: { readonly bytes: number; readonly of: number } | undefined,
  other: ComparedResult | undefined,
): void {
  const stored = view.layers.reduce((sum, layer) => sum + layer.bytesAfter, 0);
  const follows = moved !== undefined && Math.abs(stored - moved.of) < 0.1 * moved.of;
  const budget = follows ? Math.max(0, view.bytesAfter + moved.bytes - moved.of) : undefined;
  const largest = Math.max(view.bytesBefore, view.bytesAfter, other?.bytesAfter ?? 0, 1);
  const row = (id: string, label: string, bytes: number, kind: string) => {
    const fill = element('div', { class: `fill ${kind}` });
    fill.style.width = `${Math.min(100, (100 * bytes) / largest)}%`;
    return [
      element('span', { class: 'muted', text: label }),
      element('div', { class: 'track', 'aria-hidden': 'true' }, [fill]),
      element('span', { class: 'numbers right', text: bytes > 0 ? formatBytes(bytes) : '–', 'data-testid': id }),
    ];
  };
  target.replaceChildren(
    ...row('size-before', 'Before', view.bytesBefore, 'before'),
    ...row('size-after', 'After', view.bytesAfter, 'after'),
    ...(budget === undefined ? [] : row('size-budget', 'With this budget', budget, 'budget')),
    ...(other ? row('size-other', other.title, other.bytesAfter, 'other') : []),
  );
}
