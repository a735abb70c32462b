import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../../src/common/units';
import type { JobEvents, JobRequests, JobView } from '../../../src/protocol/panels/job';
import { button } from '../../components/controls';
import { element } from '../../components/dom';
import type { Page } from '../../host/page';
import { markRendered } from '../../host/page';
import { onThemeChange } from '../../host/theme';
import { TrainingCurves } from './trainingCurves';

/** The page's saved state; `job` lets the host find the job again after the window reloads. */
export interface JobPageState {
  readonly job?: string;
}

const words = { running: 'Running', done: 'Done', failed: 'Failed', cancelled: 'Cancelled', interrupted: 'Interrupted' } as const;
const badges = { running: 'badge', done: 'badge passed', failed: 'badge failed', cancelled: 'badge', interrupted: 'badge failed' } as const;

/** One job: its progress, its curves if it trains, and its log. */
export class JobPage {
  private readonly head = element('header', { class: 'page-head' });
  private readonly progress = element('div', { 'data-testid': 'progress' });
  private readonly figures = element('div', { class: 'figures' });
  private readonly curves = new TrainingCurves();
  private readonly log = element('ol', { class: 'log', 'data-testid': 'log' });
  private readonly logSection = element('section', { class: 'log-section' }, [element('h2', { text: 'Log' }), this.log]);
  private actions = '';
  private readonly tools = element('div', { class: 'tools' });
  private readonly titles = element('div');

  constructor(private readonly page: Page<JobRequests, JobEvents, JobPageState>) {
    this.head.append(this.titles, this.tools);
    document.body.append(
      element('main', {}, [this.head, this.progress, this.figures, element('div', { class: 'body' }, [this.curves.root, this.logSection])]),
    );
    page.on('changed', (view) => this.show(view));
    onThemeChange(() => this.curves.draw());
  }

  /** Requests the first snapshot and draws it. */
  async start(): Promise<void> {
    this.show(await this.page.request('ready'));
  }

  private show(view: JobView): void {
    this.page.saveState({ job: view.job });
    this.drawHead(view);
    this.drawFigures(view);
    this.curves.show(view.training);
    this.logSection.hidden = view.log.length === 0;
    this.log.replaceChildren(
      ...view.log.map(({ seconds, level, text }) =>
        element('li', { class: `line-${level}` }, [
          element('span', { class: 'muted numbers', text: seconds < 1 ? '0 s' : formatSeconds(Math.round(seconds)) }),
          element('span', { text: level === 'warning' || level === 'error' ? `${level}: ${text}` : text }),
        ]),
      ),
    );
    markRendered();
  }

  private drawHead(view: JobView): void {
    this.titles.replaceChildren(
      element('div', { class: 'title-line' }, [
        element('h1', { text: view.title, 'data-testid': 'title' }),
        element('span', { class: badges[view.status], text: words[view.status], 'data-testid': 'status', role: 'status' }),
      ]),
      element('p', { class: 'subtitle', text: view.subtitle }),
    );
    // Reuse the button elements while nothing changes: snapshots arrive ten times a second and must not steal focus.
    const actions = JSON.stringify(view.actions);
    if (actions !== this.actions) {
      this.actions = actions;
      this.tools.replaceChildren(
        ...view.actions.map(({ id, label }, index) =>
          button({
            id: `action-${id}`,
            label,
            quiet: index > 0 || id === 'cancel',
            onClick: () => this.page.request('act', { action: id }).catch(() => undefined),
          }),
        ),
      );
    }
    const running = view.status === 'running';
    const fill = element('div');
    fill.style.width = `${100 * (view.fraction ?? 0)}%`;
    const percent = Math.round(100 * (view.fraction ?? 0));
    this.progress.replaceChildren(
      ...(running
        ? [
            element('div', { class: 'progress', role: 'progressbar', 'aria-valuenow': percent, 'aria-valuemin': 0, 'aria-valuemax': 100 }, [
              fill,
            ]),
          ]
        : []),
      element('p', {
        class: view.status === 'failed' ? 'status-text problem' : 'status-text',
        text: view.statusText,
        'data-testid': 'status-text',
      }),
    );
  }

  private drawFigures({ training, elapsedSeconds, remainingSeconds, rssBytes }: JobView): void {
    const figure = (id: string, label: string, value: string, note?: string) =>
      element('div', { class: 'figure' }, [
        element('div', { class: 'label', text: label }),
        element('div', { class: 'value', text: value, 'data-testid': id }),
        ...(note === undefined ? [] : [element('div', { class: 'note', text: note })]),
      ]);
    const newest = training?.evaluations.at(-1);
    this.figures.replaceChildren(
      ...(training
        ? [
            figure('step', 'Step', formatCount(training.step), `of ${formatCount(training.steps)}`),
            figure(
              'speed',
              'Steps/s',
              formatNumber(training.stepsPerSecond, 3),
              training.mode === 'loop' ? 'steps looped in the runtime' : 'one run per step',
            ),
          ]
        : []),
      ...(newest?.bitsPerWeight === undefined
        ? []
        : [figure('bits', 'Bits per weight', formatNumber(newest.bitsPerWeight, 3), `at step ${formatCount(newest.step)}`)]),
      ...(elapsedSeconds === undefined ? [] : [figure('elapsed', 'Elapsed', formatSeconds(elapsedSeconds))]),
      ...(remainingSeconds === undefined ? [] : [figure('remaining', 'Time left', formatSeconds(remainingSeconds))]),
      ...(rssBytes === undefined || rssBytes === 0 ? [] : [figure('memory', 'Memory', formatBytes(rssBytes))]),
    );
  }
}
