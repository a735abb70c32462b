import type { ReportPageEvents, ReportPageRequests, ReportPageView, ReportSection } from '../../../src/protocol/panels/reportPage';
import { element, factList } from '../../components/dom';
import { sortableTable } from '../../components/sortableTable';
import { button } from '../../components/controls';
import type { Page } from '../../host/page';
import { markRendered } from '../../host/page';

/** Draws a report: title, verdict, headline figures, then the details. */
export class ReportPage {
  private readonly root = element('main', { class: 'report' });

  constructor(private readonly page: Page<ReportPageRequests, ReportPageEvents, { readonly key?: string }>) {
    document.body.append(this.root);
    page.on('changed', (view) => this.show(view));
  }

  /** Requests the document and draws it. */
  async start(): Promise<void> {
    try {
      this.show(await this.page.request('ready'));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.root.replaceChildren(element('p', { class: 'notice problem', text: message, 'data-testid': 'notice' }));
    }
  }

  private show(view: ReportPageView): void {
    this.page.saveState(view.key === undefined ? {} : { key: view.key });
    this.root.replaceChildren(
      element('header', { class: 'page-head' }, [
        element('div', {}, [
          element('div', { class: 'title-line' }, [
            element('h1', { text: view.title, 'data-testid': 'title' }),
            ...(view.verdict
              ? [element('span', { class: `badge ${view.verdict.state}`, text: view.verdict.text, 'data-testid': 'verdict' })]
              : []),
          ]),
          element('p', { class: 'muted', text: view.subtitle }),
        ]),
        element(
          'div',
          { class: 'tools' },
          view.actions.map(({ id, label }, index) =>
            button({ id: `action-${id}`, label, quiet: index > 0, onClick: () => void this.page.request('act', { action: id }) }),
          ),
        ),
      ]),
      element(
        'div',
        { class: 'figures' },
        view.figures.map(({ label, value, note }) =>
          element('div', { class: 'figure', 'data-testid': 'figure', 'data-label': label }, [
            element('div', { class: 'label', text: label }),
            element('div', { class: 'value', text: value }),
            ...(note === undefined ? [] : [element('div', { class: 'note', text: note })]),
          ]),
        ),
      ),
      ...view.sections.map((section) =>
        element('section', { class: 'section', 'data-testid': 'section', 'data-heading': section.heading }, [
          element('h2', { text: section.heading }),
          ...contentOf(section),
        ]),
      ),
    );
    markRendered();
  }
}

function contentOf(section: ReportSection): readonly HTMLElement[] {
  switch (section.kind) {
    case 'text':
      return section.paragraphs.map((text) => element('p', { text }));
    case 'list':
      return [
        element(
          'ul',
          { class: 'bullets' },
          section.items.map((text) => element('li', { text })),
        ),
      ];
    case 'facts':
      return [factList(section.rows)];
    case 'table':
      return [element('div', { class: 'wide' }, [sortableTable(section.columns, section.rows, 'report-table')])];
    case 'checks': {
      const marks = { passed: '✓', failed: '✗', neutral: '–' } as const;
      const words = { passed: 'passed', failed: 'failed', neutral: 'for information' } as const;
      const items = section.items.map(({ state, title, text, advice }) =>
        element('li', { class: state }, [
          element('span', { class: 'mark', text: marks[state], role: 'img', 'aria-label': words[state] }),
          element('span', { text: title }),
          element('span', { class: 'text numbers', text }),
          ...(advice === undefined ? [] : [element('span', { class: 'advice', text: advice })]),
        ]),
      );
      return [element('ul', { class: 'checks' }, items)];
    }
  }
}
