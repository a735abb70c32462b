import { formatCount } from '../../../src/common/units';
import type { Diagnostic, GraphSummary } from '../../../src/protocol/model';
import type { ModelPageView } from '../../../src/protocol/panels/modelPage';
import { element, factList } from '../../components/dom';

/** Maximum length of a metadata value; chat templates can be pages long. */
const longestValue = 600;

/** Configuration and metadata, as written in the files. */
export function metadataSheet(view: ModelPageView): HTMLElement {
  const rows = Object.entries(view.metadata).map(([label, value]) => ({
    label,
    value: value.length > longestValue ? `${value.slice(0, longestValue)}…` : value,
  }));
  return element('section', { class: 'sheet', 'data-testid': 'metadata' }, [
    factList([{ label: 'Path', value: view.path }, ...rows]),
    ...(rows.length === 0 ? [element('p', { class: 'muted', text: 'The file has no metadata.' })] : []),
  ]);
}

/** Diagnostics from reading the file, most severe first. */
export function diagnosticsSheet(diagnostics: readonly Diagnostic[]): HTMLElement {
  if (diagnostics.length === 0) {
    return element('section', { class: 'sheet', 'data-testid': 'diagnostics' }, [
      element('p', { class: 'muted', text: 'No problems found in this file.' }),
    ]);
  }
  const rank = { error: 0, warning: 1, info: 2 } as const;
  const sorted = [...diagnostics].sort((a, b) => rank[a.severity] - rank[b.severity]);
  return element('section', { class: 'sheet', 'data-testid': 'diagnostics' }, [
    element(
      'ul',
      { class: 'diagnostics' },
      sorted.map((diagnostic) => {
        const place = [
          diagnostic.subject,
          diagnostic.offset === undefined ? undefined : `byte ${formatCount(diagnostic.offset)}`,
          diagnostic.code,
        ].filter((part): part is string => part !== undefined);
        return element('li', { class: diagnostic.severity }, [
          element('span', { class: 'severity', text: diagnostic.severity }),
          element('div', {}, [
            element('div', { text: diagnostic.message }),
            element('div', { class: 'muted numbers', text: place.join(' · ') }),
          ]),
        ]);
      }),
    ),
  ]);
}

/** A file that cannot be read: its path and the byte at which reading stopped. The notice above gives the reason. */
export function failureSheet(view: ModelPageView): HTMLElement {
  const offset = view.diagnostics.find((diagnostic) => diagnostic.offset !== undefined)?.offset;
  const code = view.diagnostics[0]?.code;
  return element('section', { class: 'sheet', 'data-testid': 'diagnostics' }, [
    factList([
      { label: 'Path', value: view.path },
      ...(code === undefined ? [] : [{ label: 'Problem', value: code }]),
      ...(offset === undefined ? [] : [{ label: 'Byte offset', value: formatCount(offset) }]),
    ]),
  ]);
}

/** Inputs, outputs and operators of an ONNX graph. */
export function graphSheet(graph: GraphSummary): HTMLElement {
  const operators = Object.entries(graph.operators).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...operators.map(([, count]) => count));
  return element('section', { class: 'sheet graph', 'data-testid': 'graph' }, [
    factList([
      { label: 'Nodes', value: formatCount(graph.nodes) },
      ...Object.entries(graph.opset).map(([domain, version]) => ({
        label: domain === '' ? 'Opset' : `Opset ${domain}`,
        value: String(version),
      })),
    ]),
    element('h2', { text: 'Inputs' }),
    valueTable(graph.inputs),
    element('h2', { text: 'Outputs' }),
    valueTable(graph.outputs),
    element('h2', { text: 'Operators' }),
    element('table', { class: 'plain operators' }, [
      element('thead', {}, [
        element('tr', {}, [
          element('th', { text: 'Operator' }),
          element('th', { class: 'right', text: 'Nodes' }),
          element('th', { 'aria-hidden': 'true' }),
        ]),
      ]),
      element(
        'tbody',
        {},
        operators.map(([name, count]) => {
          const bar = element('div', { class: 'bar' });
          bar.style.width = `${(100 * count) / most}%`;
          return element('tr', {}, [
            element('td', { text: name }),
            element('td', { class: 'right numbers', text: formatCount(count) }),
            element('td', { class: 'bar-cell', 'aria-hidden': 'true' }, [bar]),
          ]);
        }),
      ),
    ]),
  ]);
}

function valueTable(values: GraphSummary['inputs']): HTMLElement {
  return element('table', { class: 'plain' }, [
    element('thead', {}, [
      element('tr', {}, [element('th', { text: 'Name' }), element('th', { text: 'Type' }), element('th', { text: 'Shape' })]),
    ]),
    element(
      'tbody',
      {},
      values.map(({ name, dtype, shape }) =>
        element('tr', {}, [
          element('td', { text: name }),
          element('td', { text: dtype }),
          element('td', { class: 'numbers', text: shape.length === 0 ? 'scalar' : shape.join(' × ') }),
        ]),
      ),
    ),
  ]);
}
