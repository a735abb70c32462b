import type { RequestShapes } from './requestShapes';
import { nothing, objectOf, oneOf, required } from './requestShapes';

/** A readable document about a job or this machine: a snapshot that the report page draws as it is. */
export interface ReportPageView {
  /** Names the document to the host, which sets it; the page keeps it for the restart of the window. */
  readonly key?: string;
  readonly title: string;
  readonly subtitle: string;
  /** A short verdict beside the title. */
  readonly verdict?: { readonly state: 'passed' | 'failed' | 'neutral'; readonly text: string };
  /** The few numbers that matter, largest first. */
  readonly figures: readonly ReportFigure[];
  readonly sections: readonly ReportSection[];
  /** Buttons under the title. */
  readonly actions: readonly ReportAction[];
}

/** One number with its label. */
export interface ReportFigure {
  readonly label: string;
  readonly value: string;
  readonly note?: string;
}

/** Everything that a button of the page can do. */
export const reportActions = ['bitAllocation', 'curves', 'openFile', 'revealOutput', 'refresh', 'setUpGpu'] as const;

/** A button; the host knows what it does. */
export interface ReportAction {
  readonly id: (typeof reportActions)[number];
  readonly label: string;
}

/** One passed, failed or merely noted check. */
export interface ReportCheck {
  readonly state: 'passed' | 'failed' | 'neutral';
  readonly title: string;
  readonly text: string;
  readonly advice?: string;
}

/** A column: text to the left, numbers to the right. */
export interface ReportColumn {
  readonly title: string;
  readonly align: 'left' | 'right';
}

/** A cell; `order` sorts where the text alone would not. */
export interface ReportCell {
  readonly text: string;
  readonly order?: number;
}

/** One part of a document. */
export type ReportSection =
  | { readonly kind: 'text'; readonly heading: string; readonly paragraphs: readonly string[] }
  | { readonly kind: 'list'; readonly heading: string; readonly items: readonly string[] }
  | { readonly kind: 'facts'; readonly heading: string; readonly rows: readonly { readonly label: string; readonly value: string }[] }
  | { readonly kind: 'checks'; readonly heading: string; readonly items: readonly ReportCheck[] }
  | {
      readonly kind: 'table';
      readonly heading: string;
      readonly columns: readonly ReportColumn[];
      readonly rows: readonly (readonly ReportCell[])[];
    };

/** What the report page may ask of its host. */
export interface ReportPageRequests {
  ready(): Promise<ReportPageView>;
  act(request: { readonly action: ReportAction['id'] }): Promise<void>;
}

/** Messages from the host to the report page. */
export interface ReportPageEvents {
  changed: ReportPageView;
}

/** What the requests of the report page must look like. */
export const reportPageShapes: RequestShapes<ReportPageRequests> = {
  ready: nothing,
  act: objectOf({ action: required(oneOf(reportActions)) }),
};
